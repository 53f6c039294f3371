/** The graphs of a training step: loss with gradients, and the optimizer's update. */
import { build as b, gradients, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { ModelConfig } from './config.js';
import { GraphWeights, hiddenStates, logitsOf, type Method, trainableParameters } from './model.js';
import type { Parameter } from './parameters.js';

interface StepShape {
  readonly batch: number;
  readonly sequence: number;
  /** Labelled tokens, padding included. */
  readonly answers: number;
}

/** Logits only where an answer is asked: `answer_index` [n] are flat positions b·T + t whose next token is labelled. */
function answerLogProbabilities(
  config: ModelConfig,
  weights: GraphWeights,
  { batch, sequence, answers }: StepShape,
): Value {
  const hidden = hiddenStates(config, weights, modelInputs(batch, sequence));
  const rows = b.gather(hidden, b.input('answer_index', 'int64', [answers]));
  return b.pick(b.logSoftmax(logitsOf(weights, rows)), b.input('answer_target', 'int64', [answers]));
}

/**
 * `nll` [n], the negative log-likelihood of each answer token in nats; `loss` = Σ w·nll with `answer_weight` [n]
 * (0 on padding; weights that sum to 1 make it a mean); `grad.<name>` for every trainable weight.
 */
export function trainGraph(config: ModelConfig, method: Method, shape: StepShape): Record<string, Value> {
  const weights = new GraphWeights(config, method);
  const nll = b.neg(answerLogProbabilities(config, weights, shape));
  const weight = b.reshape(b.input('answer_weight', 'float32', [shape.answers]), [shape.answers, 1]);
  const loss = b.reshape(b.reduceSum(b.mul(nll, weight), [0, 1]), []);
  const trainable = trainableParameters(config, method);
  const grads = gradients(
    loss,
    trainable.map(({ name }) => weights.get(name)),
  );
  return {
    loss,
    nll: b.reshape(nll, [shape.answers]),
    ...Object.fromEntries(trainable.map(({ name }, i) => [`grad.${name}`, grads[i]])),
  };
}

/** `nll` [n] alone, for validation. */
export function lossGraph(config: ModelConfig, method: Method, shape: StepShape): Record<string, Value> {
  const nll = b.neg(answerLogProbabilities(config, new GraphWeights(config, method), shape));
  return { nll: b.reshape(nll, [shape.answers]) };
}

/** `next.<name>` = `grad.<name>` + `part.<name>` for every trained weight: one more micro-batch of a step. */
export function accumulateGraph(parameters: readonly Parameter[]): Record<string, Value> {
  return Object.fromEntries(
    parameters.map(({ name, shape }) => [
      `next.${name}`,
      b.add(b.input(`grad.${name}`, 'float32', shape), b.input(`part.${name}`, 'float32', shape)),
    ]),
  );
}

export interface AdamW {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled. */
  readonly weightDecay: number;
  /** Decay norms and biases too, as PyTorch does by default. */
  readonly decayVectors: boolean;
  /** Largest global norm of the gradient. */
  readonly clipNorm: number;
}

/**
 * AdamW (Loshchilov and Hutter 2019) after clipping by the global norm, as a graph: for each weight w with gradient
 * `grad.w` and moments `m.w`, `v.w` (v: of the square), inputs `rate`, `correction1` = 1 − β₁ᵗ, `correction2` = 1 − β₂ᵗ,
 * outputs `next.w`, `next.m.w`, `next.v.w`, and `norm`, the gradient's norm before clipping.
 */
export function updateGraph(
  parameters: readonly Parameter[],
  { beta1, beta2, epsilon, weightDecay, decayVectors, clipNorm }: AdamW,
): Record<string, Value> {
  const s = b.scalar;
  const rate = b.input('rate', 'float32', []);
  const correction1 = b.input('correction1', 'float32', []);
  const correction2 = b.input('correction2', 'float32', []);
  const inputs = parameters.map(({ name, shape }) => ({
    name,
    shape,
    w: b.input(name, 'float32', shape),
    g: b.input(`grad.${name}`, 'float32', shape),
    m: b.input(`m.${name}`, 'float32', shape),
    v: b.input(`v.${name}`, 'float32', shape),
  }));
  const squares = inputs.map(({ g, shape }) =>
    b.reshape(
      b.reduceSum(
        b.mul(g, g),
        shape.map((_, axis) => axis),
      ),
      [1],
    ),
  );
  const norm = b.sqrt(b.reshape(b.reduceSum(b.concat(squares, 0), [0]), []));
  // PyTorch's clip_grad_norm_: min(1, clip/(norm + 1e-6)).
  const ratio = b.div(s(clipNorm), b.add(norm, s(1e-6)));
  const factor = b.where(b.less(ratio, s(1)), ratio, s(1));
  const outputs: Record<string, Value> = { norm };
  for (const { name, shape, w, g, m, v } of inputs) {
    const clipped = b.mul(g, factor);
    const nextM = b.add(b.mul(m, s(beta1)), b.mul(clipped, s(1 - beta1)));
    const nextV = b.add(b.mul(v, s(beta2)), b.mul(b.mul(clipped, clipped), s(1 - beta2)));
    const step = b.div(b.div(nextM, correction1), b.add(b.sqrt(b.div(nextV, correction2)), s(epsilon)));
    const decay = shape.length > 1 || decayVectors ? weightDecay : 0;
    const decayed = decay === 0 ? w : b.mul(w, b.sub(s(1), b.mul(rate, s(decay))));
    outputs[`next.${name}`] = b.sub(decayed, b.mul(rate, step));
    outputs[`next.m.${name}`] = nextM;
    outputs[`next.v.${name}`] = nextV;
  }
  return outputs;
}
