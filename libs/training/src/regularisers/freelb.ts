/**
 * FreeLB (Zhu et al. 2020, algorithm 1): the mean of L(e + δ_t) over t = 1 … K, δ₁ ~ U(−1, 1)·m/√(L·d), δ ← Π(δ + α·g/‖g‖₂), both
 * norms over each sample; masks of dropout are the same at every t. K runs forward and backward.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { ascendBySample, noise, projectBySample, symmetricUniform } from './perturbation.js';
import { Stream } from './stream.js';

/** Defaults: the authors' for SST-2. */
export const freelbSettings = z.strictObject({
  name: z.literal('freelb'),
  stepSize: z.number().positive().default(0.1).meta({ description: 'α, the length of a step' }),
  initialMagnitude: z
    .number()
    .min(0)
    .default(0.6)
    .meta({ description: 'm of the first δ; 0 starts at the embeddings themselves' }),
  maxNorm: z.number().min(0).default(0).meta({ description: 'the largest ‖δ‖₂; 0 sets no bound' }),
  steps: z.number().int().min(1).max(16).default(2).meta({ description: 'K' }),
});

export const freelb: Perturbation<z.output<typeof freelbSettings>> = {
  needs: { delta: true },
  async pass(pass, { stepSize, initialMagnitude, maxNorm, steps }) {
    const { extent } = pass;
    const draw = symmetricUniform(Stream.of(pass.random('freelb')));
    let delta = noise(extent, draw, (length) => initialMagnitude / Math.sqrt(length * extent.width));
    let sum = 0;
    for (let k = 1; ; k++) {
      const { loss, deltaGradient } = await pass.learn({ delta, answers: 1 / steps });
      sum += loss;
      if (k === steps) return sum / steps;
      delta = ascendBySample(delta, deltaGradient, extent, stepSize);
      if (maxNorm > 0) delta = projectBySample(delta, extent, maxNorm);
    }
  },
};
