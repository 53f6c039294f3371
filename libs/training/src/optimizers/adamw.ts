import { build as b } from '@emotune/graph';
import type { Optimizer } from './optimizer.js';

export interface AdamW {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/**
 * AdamW (Loshchilov and Hutter 2019, algorithm 2) as PyTorch has it: m and v are the moments of the gradient and its square.
 * The corrections c₁ = 1 − β₁ᵗ and c₂ = 1 − β₂ᵗ of m/c₁ / (√(v/c₂) + ε) are drawn out of the division, as in section 2 of
 * Kingma and Ba 2015: m·(√c₂/c₁) / (√v + ε√c₂).
 */
export function adamW({ beta1, beta2, epsilon }: AdamW): Optimizer {
  const s = b.scalar;
  return {
    elementwise: true,
    state: ({ shape }) => ({ m: shape, v: shape }),
    scalars: (update) => {
      const root = Math.sqrt(1 - beta2 ** update);
      return { correction: root / (1 - beta1 ** update), floor: epsilon * root };
    },
    update({ weight, gradient, state, rate, scalars, weightDecay }) {
      const m = b.add(b.mul(state['m'], s(beta1)), b.mul(gradient, s(1 - beta1)));
      const v = b.add(b.mul(state['v'], s(beta2)), b.mul(b.mul(gradient, gradient), s(1 - beta2)));
      const step = b.div(b.mul(m, b.mul(rate, scalars['correction'])), b.add(b.sqrt(v), scalars['floor']));
      const decayed = weightDecay === 0 ? weight : b.mul(weight, b.sub(s(1), b.mul(rate, s(weightDecay))));
      return { weight: b.sub(decayed, step), state: { m, v } };
    },
  };
}
