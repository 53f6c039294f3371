import { build as b, type Shape, type Value } from '@emotune/graph';
import type { Optimizer } from './optimizer.js';

export interface Adafactor {
  readonly decayRate: number;
  readonly clipThreshold: number;
  readonly scaleParameter: boolean;
}

/** ε₁ and ε₂ of the paper's section 9. */
const squareFloor = 1e-30;
const scaleFloor = 1e-3;

/** √mean(x²), a scalar. */
function rootMeanSquare(x: Value): Value {
  return b.sqrt(
    b.reshape(
      b.mean(
        b.mul(x, x),
        x.shape.map((_, axis) => axis),
      ),
      [],
    ),
  );
}

function atLeast(x: Value, floor: number): Value {
  return b.where(b.less(x, b.scalar(floor)), b.scalar(floor), x);
}

/**
 * Adafactor (Shazeer and Stern 2018, algorithms 4 and 5) without momentum and with an outer rate, as Hugging Face has it:
 * a matrix keeps the means of its squared gradient's rows and columns alone, a vector all of them.
 */
export function adafactor({ decayRate, clipThreshold, scaleParameter }: Adafactor): Optimizer {
  const s = b.scalar;
  return {
    elementwise: false,
    state({ shape }): Readonly<Record<string, Shape>> {
      return shape.length < 2 ? { v: shape } : { row: [shape[0], 1], column: [1, shape[1]] };
    },
    scalars: (update) => ({ fresh: update ** decayRate }),
    update({ weight, gradient, state, rate, scalars, weightDecay }) {
      const { fresh } = scalars;
      const mix = (old: Value, now: Value) => b.add(b.mul(old, b.sub(s(1), fresh)), b.mul(now, fresh));
      const squares = b.add(b.mul(gradient, gradient), s(squareFloor));
      let next: Record<string, Value>;
      let direction: Value;
      if (weight.shape.length < 2) {
        const v = mix(state['v'], squares);
        next = { v };
        direction = b.div(gradient, b.sqrt(v));
      } else {
        const row = mix(state['row'], b.mean(squares, [1]));
        const column = mix(state['column'], b.mean(squares, [0]));
        next = { row, column };
        const rowPart = b.sqrt(b.div(row, b.mean(row, [0])));
        direction = b.div(b.div(gradient, rowPart), b.sqrt(column));
      }
      const clipped = b.div(direction, atLeast(b.div(rootMeanSquare(direction), s(clipThreshold)), 1));
      const scaled = scaleParameter ? b.mul(rate, atLeast(rootMeanSquare(weight), scaleFloor)) : rate;
      const decayed =
        weightDecay === 0 ? weight : b.sub(weight, b.mul(b.mul(weight, s(weightDecay)), scaled));
      return { weight: b.sub(decayed, b.mul(clipped, scaled)), state: next };
    },
  };
}
