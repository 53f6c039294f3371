/**
 * Fast gradient method on embeddings (Miyato, Dai and Goodfellow 2017, section 3): L(e) + L(e + ε·g/‖g‖₂), g = ∂L/∂e, the norm
 * over each sample. Two runs forward and backward.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { ascendBySample } from './perturbation.js';

export const fgmSettings = z.strictObject({
  name: z.literal('fgm'),
  epsilon: z.number().positive().default(1).meta({ description: 'ε, the length of the step' }),
});

export const fgm: Perturbation<z.output<typeof fgmSettings>> = {
  needs: { delta: true },
  async pass(pass, { epsilon }) {
    const { loss, deltaGradient } = await pass.learn();
    const still = new Float32Array(deltaGradient.length);
    await pass.learn({ delta: ascendBySample(still, deltaGradient, pass.extent, epsilon) });
    return loss;
  },
};
