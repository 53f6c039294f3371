/**
 * R-Drop (Wu et al. 2021, section 2): ½(L₁ + L₂) + λ·½(KL(p₁‖p₂) + KL(p₂‖p₁)) of two runs that differ by their dropout. The
 * derivative goes through both. Two runs forward and backward, one forward.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';

export const rdropSettings = z.strictObject({
  name: z.literal('rdrop'),
  weight: z.number().positive().default(1).meta({ description: "λ, the paper's α, 1 to 5 there" }),
});

export const rdrop: Perturbation<z.output<typeof rdropSettings>> = {
  needs: { consistency: true },
  async pass(pass, { weight: lambda }) {
    const weight = lambda / 2;
    const half = { answers: 0.5 };
    await pass.remember('first', { draw: 0 });
    const consistent = { with: 'first', weight };
    const second = await pass.learn({ ...half, draw: 1, consistency: consistent, remember: 'second' });
    const first = await pass.learn({ ...half, draw: 0, consistency: { with: 'second', weight } });
    return (first.loss + second.loss) / 2;
  },
};
