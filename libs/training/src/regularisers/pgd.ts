/**
 * Projected gradient descent on embeddings (Madry et al. 2018): L(e) + L(e + r_K), r ← Π(r + α·g/‖g‖₂) from 0, Π onto
 * ‖r‖₂ ≤ ε, both norms over each sample. K + 1 runs, of which K − 1 go backward to the embeddings only.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { ascendBySample, projectBySample } from './perturbation.js';

export const pgdSettings = z.strictObject({
  name: z.literal('pgd'),
  epsilon: z.number().positive().default(1).meta({ description: 'ε, the largest ‖r‖₂' }),
  stepSize: z.number().positive().default(0.3).meta({ description: 'α, the length of a step' }),
  steps: z.number().int().min(1).max(16).default(3).meta({ description: 'K' }),
});

export const pgd: Perturbation<z.output<typeof pgdSettings>> = {
  needs: { delta: true },
  ascends: true,
  async pass(pass, { epsilon, stepSize, steps }) {
    const { loss, deltaGradient } = await pass.learn();
    const climb = (delta: Float32Array, gradient: Float32Array) =>
      projectBySample(ascendBySample(delta, gradient, pass.extent, stepSize), pass.extent, epsilon);
    let delta = climb(new Float32Array(deltaGradient.length), deltaGradient);
    for (let k = 1; k < steps; k++) delta = climb(delta, await pass.ascend({ delta }));
    await pass.learn({ delta });
    return loss;
  },
};
