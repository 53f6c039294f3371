import { build as b } from '@emotune/graph';
import type { Optimizer } from './optimizer.js';

export interface AdamW {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** AdamW (Loshchilov and Hutter 2019, algorithm 2) as PyTorch has it: m and v are the moments of the gradient and its square. */
export function adamW({ beta1, beta2, epsilon }: AdamW): Optimizer {
  const s = b.scalar;
  return {
    state: ({ shape }) => ({ m: shape, v: shape }),
    scalars: (update) => ({ correction1: 1 - beta1 ** update, correction2: 1 - beta2 ** update }),
    update({ weight, gradient, state, rate, scalars, weightDecay }) {
      const m = b.add(b.mul(state['m'], s(beta1)), b.mul(gradient, s(1 - beta1)));
      const v = b.add(b.mul(state['v'], s(beta2)), b.mul(b.mul(gradient, gradient), s(1 - beta2)));
      const deviation = b.add(b.sqrt(b.div(v, scalars['correction2'])), s(epsilon));
      const step = b.div(b.div(m, scalars['correction1']), deviation);
      const decayed = weightDecay === 0 ? weight : b.mul(weight, b.sub(s(1), b.mul(rate, s(weightDecay))));
      return { weight: b.sub(decayed, b.mul(rate, step)), state: { m, v } };
    },
  };
}
