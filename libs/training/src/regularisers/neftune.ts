/** NEFTune (Jain et al. 2024, algorithm 1): noise U(−1, 1)·α/√(L·d) on the embeddings of each sample of L tokens. One run. */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { noise, symmetricUniform } from './perturbation.js';
import { Stream } from './stream.js';

export const neftuneSettings = z.strictObject({
  name: z.literal('neftune'),
  alpha: z.number().positive().default(5).meta({ description: 'α of U(−1, 1)·α/√(L·d)' }),
});

export const neftune: Perturbation<z.output<typeof neftuneSettings>> = {
  needs: { delta: true },
  async pass(pass, { alpha }) {
    const { width } = pass.extent;
    const draw = symmetricUniform(Stream.of(pass.random('neftune')));
    const delta = noise(pass.extent, draw, (length) => alpha / Math.sqrt(length * width));
    return (await pass.learn({ delta })).loss;
  },
};
