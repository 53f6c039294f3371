/**
 * SMART (Jiang et al. 2020, section 3): L(e) + λ·ℓ(f(e + δ), f(e)), ℓ = KL(p‖q) + KL(q‖p) of the answers' distributions, δ found by K
 * steps of ascent on ℓ from N(0, σ²), each token's step normalised by its largest element, |δ| ≤ ε. With μ > 0 the Bregman
 * proximal term μ·ℓ(f(e), f̃(e)), f̃ having the moving average of the weights. The derivative goes through both sides of ℓ.
 * Two runs forward and backward, K backward to the embeddings only, one forward; one more of each of the first and the last
 * with μ.
 */
import { z } from 'zod';
import type { Perturbation } from './method.js';
import { ascendByToken, noise } from './perturbation.js';
import { Stream } from './stream.js';

/** Defaults: the paper's (section 4.2). */
export const smartSettings = z.strictObject({
  name: z.literal('smart'),
  /** λ. */
  weight: z.number().positive().default(1),
  steps: z.number().int().min(1).max(16).default(1),
  stepSize: z.number().positive().default(1e-3),
  /** σ. */
  noise: z.number().positive().default(1e-5),
  /** ε. */
  maxNorm: z.number().positive().default(1e-5),
  /** μ; needs `ema`. */
  proximal: z.number().min(0).default(0),
});

export const smart: Perturbation<z.output<typeof smartSettings>> = {
  needs: { delta: true, consistency: true },
  ascends: true,
  async pass(pass, { weight, steps, stepSize, noise: sigma, maxNorm, proximal }) {
    const stream = Stream.of(pass.random('smart'));
    await pass.remember('clean');
    const smoothness = (lambda: number) => ({
      answers: 0,
      consistency: { with: 'clean', weight: lambda },
    });
    let delta = noise(
      pass.extent,
      () => stream.normal(),
      () => sigma,
    );
    for (let k = 0; k < steps; k++)
      delta = ascendByToken(delta, await pass.ascend({ delta, ...smoothness(1) }), pass.extent, {
        stepSize,
        maxNorm,
      });
    await pass.learn({ delta, ...smoothness(weight), remember: 'adversarial' });
    if (proximal > 0) {
      await pass.remember('average', { average: true });
      await pass.learn({ answers: 0, consistency: { with: 'average', weight: proximal } });
    }
    return (await pass.learn({ consistency: { with: 'adversarial', weight } })).loss;
  },
};
