/** The graphs of an optimizer step: the gradient's norm over all weights, and the update of some of them. */
import { build as b, type Value } from '@emotune/graph';
import { type Parameter, slotNames } from '@emotune/models';
import type { TrainSpec } from '../spec.js';
import { adafactor } from './adafactor.js';
import { adamW } from './adamw.js';
import { lion } from './lion.js';
import type { Optimizer } from './optimizer.js';

export function optimizerOf(spec: TrainSpec['optimizer']): Optimizer {
  if (spec.name === 'adafactor') return adafactor(spec);
  return spec.name === 'lion' ? lion(spec) : adamW(spec);
}

/** `squares`: the sum of those of a vector `gradient`. */
export function squaresGraph(elements: number): Record<string, Value> {
  const gradient = b.state('gradient', 'float32', [elements]);
  return { squares: b.reshape(b.reduceSum(b.mul(gradient, gradient), [0]), []) };
}

/** `sum` of the vectors `gradient` and `part`. */
export function sumGraph(elements: number): Record<string, Value> {
  const vector = (name: string) => b.state(name, 'float32', [elements]);
  return { sum: b.add(vector('gradient'), vector('part')) };
}

/** What a gradient of this norm is multiplied with so that none is longer than `clipNorm`, as PyTorch's clip_grad_norm_. */
export function clipFactor(norm: number, clipNorm: number): number {
  return Math.min(1, clipNorm / (norm + 1e-6));
}

export interface UpdateOptions {
  /** Decoupled. */
  readonly weightDecay: number;
  /** Decay norms and biases too, as PyTorch does unless told otherwise; default false. */
  readonly decayVectors?: boolean;
  /** The rate of this weight as a multiple of the others'; default 1. */
  readonly rateScale?: (name: string) => number;
  /** Keep an exponential moving average of the weights too. */
  readonly ema?: boolean;
}

/** The weight decay of this parameter. */
export function decayOf({ shape }: Parameter, { weightDecay, decayVectors = false }: UpdateOptions): number {
  return shape.length > 1 || decayVectors ? weightDecay : 0;
}

/**
 * From each weight w, its gradient and the optimizer's state the next w and state, by `slotNames`. Scalars `rate`, `factor`
 * (the gradient is multiplied with it first) and the optimizer's own. With `ema` also the average a and the scalar `decay`:
 * next a = decay · a + (1 − decay) · next w.
 */
export function updateGraph(
  parameters: readonly Parameter[],
  optimizer: Optimizer,
  options: UpdateOptions,
): Record<string, Value> {
  const { rateScale = () => 1, ema = false } = options;
  const scalar = (name: string) => b.input(name, 'float32', []);
  const rate = scalar('rate');
  const factor = scalar('factor');
  const decay = scalar('decay');
  const scalars = Object.fromEntries(Object.keys(optimizer.scalars(1)).map((name) => [name, scalar(name)]));
  const outputs: Record<string, Value> = {};
  for (const parameter of parameters) {
    const { name, shape } = parameter;
    const scale = rateScale(name);
    const average = slotNames.average(name);
    const next = optimizer.update({
      weight: b.weight(name, 'float32', shape),
      gradient: b.mul(b.state(slotNames.gradient(name), 'float32', shape), factor),
      state: Object.fromEntries(
        Object.entries(optimizer.state(parameter)).map(([part, size]) => [
          part,
          b.state(slotNames.state(part, name), 'float32', size),
        ]),
      ),
      rate: scale === 1 ? rate : b.mul(rate, b.scalar(scale)),
      scalars,
      weightDecay: decayOf(parameter, options),
    });
    outputs[slotNames.next(name)] = next.weight;
    for (const [part, value] of Object.entries(next.state))
      outputs[slotNames.next(slotNames.state(part, name))] = value;
    if (ema)
      outputs[slotNames.next(average)] = b.add(
        b.mul(b.state(average, 'float32', shape), decay),
        b.mul(next.weight, b.sub(b.scalar(1), decay)),
      );
  }
  return outputs;
}
