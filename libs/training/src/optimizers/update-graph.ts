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

/** `norm`: of the gradients `grad.<name>` taken together. */
export function normGraph(parameters: readonly Parameter[]): Record<string, Value> {
  const squares = parameters.map(({ name, shape }) => {
    const gradient = b.input(`grad.${name}`, 'float32', shape);
    const axes = shape.map((_, axis) => axis);
    return b.reshape(b.reduceSum(b.mul(gradient, gradient), axes), [1]);
  });
  return { norm: b.sqrt(b.reshape(b.reduceSum(b.concat(squares, 0), [0]), [])) };
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

/**
 * For each weight w with gradient `grad.w` and the optimizer's state `<state>.w`: `next.w` and `next.<state>.w`. Scalars
 * `rate`, `factor` (the gradient is multiplied with it first) and the optimizer's own. With `ema` also `ema.w` and the
 * scalar `decay`: `next.ema.w` = decay · ema.w + (1 − decay) · next.w.
 */
export function updateGraph(
  parameters: readonly Parameter[],
  optimizer: Optimizer,
  { weightDecay, decayVectors = false, rateScale = () => 1, ema = false }: UpdateOptions,
): Record<string, Value> {
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
      weightDecay: shape.length > 1 || decayVectors ? weightDecay : 0,
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
