/** The graphs of an optimizer step: the gradient's norm over all weights, and the update of some of them. */
import { build as b, type Value } from '@emotune/graph';
import type { Parameter } from '@emotune/models';
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
  const gradient = b.input('gradient', 'float32', [elements]);
  return { squares: b.reshape(b.reduceSum(b.mul(gradient, gradient), [0]), []) };
}

/** `sum` of the vectors `gradient` and `part`. */
export function sumGraph(elements: number): Record<string, Value> {
  const vector = (name: string) => b.input(name, 'float32', [elements]);
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
 * For each weight w with gradient `grad.w` and the optimizer's state `<state>.w`: `next.w` and `next.<state>.w`. Scalars
 * `rate`, `factor` (the gradient is multiplied with it first) and the optimizer's own. With `ema` also `ema.w` and the
 * scalar `decay`: `next.ema.w` = decay · ema.w + (1 − decay) · next.w.
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
    const next = optimizer.update({
      weight: b.input(name, 'float32', shape),
      gradient: b.mul(b.input(`grad.${name}`, 'float32', shape), factor),
      state: Object.fromEntries(
        Object.entries(optimizer.state(parameter)).map(([part, size]) => [
          part,
          b.input(`${part}.${name}`, 'float32', size),
        ]),
      ),
      rate: scale === 1 ? rate : b.mul(rate, b.scalar(scale)),
      scalars,
      weightDecay: decayOf(parameter, options),
    });
    outputs[`next.${name}`] = next.weight;
    for (const [part, value] of Object.entries(next.state)) outputs[`next.${part}.${name}`] = value;
    if (ema)
      outputs[`next.ema.${name}`] = b.add(
        b.mul(b.input(`ema.${name}`, 'float32', shape), decay),
        b.mul(next.weight, b.sub(b.scalar(1), decay)),
      );
  }
  return outputs;
}
