/**
 * R3F (Aghajanyan et al. 2021): L(e) + λ·(KL(p‖q) + KL(q‖p)) between the answers' distributions p at e and q at
 * e + z, z ~ U(−ε, ε) or N(0, ε²). The derivative goes through both sides. Two runs forward and backward, one forward.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { noise, symmetricUniform } from './perturbation.js';
import { Stream } from './stream.js';

export const r3fSettings = z.strictObject({
  name: z.literal('r3f'),
  weight: z.number().positive().default(1).meta({ description: 'λ' }),
  noise: z.enum(['uniform', 'normal']).default('uniform').meta({ description: 'the distribution of z' }),
  epsilon: z.number().positive().default(1e-5).meta({ description: 'ε, half its width or its deviation' }),
});

export const r3f: Perturbation<z.output<typeof r3fSettings>> = {
  needs: { delta: true, consistency: true },
  async pass(pass, { weight, noise: kind, epsilon }) {
    const stream = Stream.of(pass.random('r3f'));
    const draw = kind === 'uniform' ? symmetricUniform(stream) : () => stream.normal();
    const delta = noise(pass.extent, draw, () => epsilon);
    await pass.remember('clean');
    await pass.learn({ delta, answers: 0, consistency: { with: 'clean', weight }, remember: 'noisy' });
    return (await pass.learn({ consistency: { with: 'noisy', weight } })).loss;
  },
};
