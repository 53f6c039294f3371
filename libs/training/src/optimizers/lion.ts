import { build as b, type Value } from '@emotune/graph';
import type { Optimizer } from './optimizer.js';

export interface Lion {
  readonly beta1: number;
  readonly beta2: number;
}

function sign(x: Value): Value {
  const s = b.scalar;
  return b.where(b.less(s(0), x), s(1), b.where(b.less(x, s(0)), s(-1), s(0)));
}

/** Lion (Chen et al. 2023, algorithm 2): the sign of an interpolated momentum m. Its rate is 3 to 10 times smaller than AdamW's. */
export function lion({ beta1, beta2 }: Lion): Optimizer {
  const s = b.scalar;
  const mix = (m: Value, g: Value, beta: number) => b.add(b.mul(m, s(beta)), b.mul(g, s(1 - beta)));
  return {
    elementwise: true,
    state: ({ shape }) => ({ m: shape }),
    scalars: () => ({}),
    update({ weight, gradient, state, rate, weightDecay }) {
      const direction = sign(mix(state['m'], gradient, beta1));
      const step = weightDecay === 0 ? direction : b.add(direction, b.mul(weight, s(weightDecay)));
      return { weight: b.sub(weight, b.mul(rate, step)), state: { m: mix(state['m'], gradient, beta2) } };
    },
  };
}
