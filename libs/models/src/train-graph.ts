/** The graphs of a training step: loss with gradients, what adversarial and consistency methods need, and the optimizer's update. */
import { build as b, gradients, type Recompute, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { ModelConfig } from './config.js';
import { embeddingModule } from './lora.js';
import {
  answerScores,
  crossEntropy,
  distillation,
  expectedError,
  logSoftmaxOver,
  negativeLogLikelihood,
  symmetricKl,
  tokenScores,
  weighted,
} from './losses.js';
import { type GraphWeights, hiddenStates, logitsOf, type Method, trainableParameters } from './model.js';
import { maskNames, slotNames } from './names.js';
import { dropout, type Masking, PerturbedWeights } from './perturbed-weights.js';

export interface StepShape {
  readonly batch: number;
  readonly sequence: number;
  /** Labelled tokens, padding included. */
  readonly answers: number;
}

/** Sizes of the inputs by which answers are compared as numbers, padding included. */
export interface NumberShape {
  /** Digits (or rows) that are compared. */
  readonly items: number;
  /** Choices of each. */
  readonly choices: number;
}

/** How candidates are compared: by the square of their expected error, with a distribution, or with a teacher's. */
export type GridLoss = 'squaredError' | 'crossEntropy' | { readonly temperature: number };

export interface GridShape extends NumberShape {
  /** Edges of a path. */
  readonly depth: number;
  /** Hidden states that are asked. */
  readonly asked: number;
  readonly edges: number;
}

/** What a step has beyond the answers' likelihood. Each adds the inputs that are named with it. */
export interface StepOptions extends Masking {
  /** ε of uniform label smoothing. */
  readonly labelSmoothing?: number;
  /**
   * Number Token Loss (Zausinger et al. 2025): Σ w·ℓ with ℓ = (Σ p·error)² where `squared`, else Σ p·error, p over the
   * choices alone. `digit_choice` [items·choices], flat indices answer·V + token; `digit_present` (bool), `digit_error`
   * [items, choices]; `digit_weight` [items].
   */
  readonly digits?: (NumberShape & { readonly squared: boolean }) | undefined;
  /**
   * Whole answers by likelihood, p over the candidates, Σ w·ℓ: `asked_index` [asked], flat positions; `edge` [edges], flat indices
   * asked·V + token; `path` [items·choices·depth], indices of edges, or `edges` for none; `candidate_present` (bool),
   * `candidate_value` [items, choices]; `candidate_weight` [items]. `squaredError`, RAFT (Lukasik et al. 2025): ℓ = (Σ p·value)²,
   * values being those of candidates less the right one. `crossEntropy`: ℓ = −Σ value·log p, values being the target's
   * probabilities. With a temperature: `distillation`, values being the teacher's probabilities at that temperature.
   */
  readonly grid?: (GridShape & { readonly loss: GridLoss }) | undefined;
  /** `delta` [N, E], added to the token embeddings. */
  readonly delta?: boolean;
  /**
   * Mixup of embeddings: `mix_index` [N], each token's partner (itself where it has none), `mix_share` [N, 1], the share of
   * its own; `mix_target` [n] and `mix_weight` [n], the partner's answer at the same place.
   */
  readonly mixup?: boolean;
  /**
   * Σ w·(KL(p‖q) + KL(q‖p)) between each answer token's distribution and that of another run: `reference` [n, V], its
   * log-probabilities, `consistency_weight` [n].
   */
  readonly consistency?: boolean;
  /** Log-probabilities that are there together, at least those of one answer; default `usualPiece`. */
  readonly pieceElements?: number;
  /** Default none; the unit is a decoder layer. */
  readonly recompute?: Recompute | undefined;
}

interface Step {
  readonly weights: GraphWeights;
  readonly delta: Value | undefined;
  /** Σ w·nll and the like. */
  readonly loss: Value;
  /** The loss and the consistency with another run. */
  readonly objective: Value;
  /** [n]. */
  readonly nll: Value;
  /** [n, V], or the first piece of it. */
  readonly logProbabilities: Value;
  readonly pieces: number;
  /** ℓ of each candidate list [items], where there are some. */
  readonly candidates: Value | undefined;
}

/**
 * Looked-up embeddings [N, E] through which the row of the padding token learns nothing, as PyTorch's `padding_idx` has it
 * in OPT and LLaMA. It matters where the padding token stands for something else too, such as the end of the sequence.
 */
function withoutPaddingGradient({ family, padTokenId }: ModelConfig, tokens: Value, ids: Value): Value {
  if (family === 'bloom' || padTokenId === null) return tokens;
  const distance = b.sub(b.toFloat(b.reshape(ids, [tokens.shape[0], 1])), b.scalar(padTokenId));
  return b.where(b.less(b.mul(distance, distance), b.scalar(0.5)), b.detach(tokens), tokens);
}

/**
 * Log-probabilities that are there together where the head is frozen. A loss of many answers is made piece by piece, so that those of the whole
 * vocabulary are never all there (Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models", whose pieces are
 * smaller). A head that is trained would have its gradient once for each piece.
 */
const usualPiece = 2 ** 22;

function step(
  config: ModelConfig,
  method: Method,
  shape: StepShape,
  options: StepOptions,
  keepsLogProbabilities = false,
): Step {
  const { batch, sequence, answers } = shape;
  const weights = new PerturbedWeights(config, method, options);
  const { embeddingDropout = 0, grid } = options;
  let delta: Value | undefined;
  const inputs = modelInputs(batch, sequence);
  const table = `${embeddingModule(config)}.weight`;
  const trained = new Set(trainableParameters(config, method).map(({ name }) => name));
  const learnt = trained.has(table);
  const atEmbeddings = (tokens: Value): Value => {
    const [count] = tokens.shape;
    let x = learnt ? withoutPaddingGradient(config, tokens, inputs.ids) : tokens;
    if (options.mixup) {
      const own = b.input('mix_share', 'float32', [count, 1]);
      const partner = b.gather(x, b.input('mix_index', 'int64', [count]));
      x = b.add(b.mul(x, own), b.mul(partner, b.sub(b.scalar(1), own)));
    }
    if (options.delta) {
      delta = b.input('delta', 'float32', x.shape);
      x = b.add(x, delta);
    }
    return embeddingDropout > 0 ? dropout(x, maskNames.embedding(), embeddingDropout) : x;
  };
  // Logits only where an answer is asked: flat positions b·T + t whose next token is labelled.
  const asked = [
    b.input('answer_index', 'int64', [answers]),
    ...(grid ? [b.input('asked_index', 'int64', [grid.asked])] : []),
  ];
  const hidden = hiddenStates(config, weights, { ...inputs, atEmbeddings }, b.concat(asked, 0));
  const answered = grid ? b.slice(hidden, 0, 0, answers) : hidden;
  const target = b.input('answer_target', 'int64', [answers]);
  const weight = b.input('answer_weight', 'float32', [answers]);
  // What reads all log-probabilities has them whole.
  const whole = options.mixup || options.digits || options.consistency || keepsLogProbabilities;
  const headTrained = learnt || trained.has('lm_head.weight');
  const together = options.pieceElements ?? (headTrained ? Number.POSITIVE_INFINITY : usualPiece);
  const pieces = whole
    ? 1
    : Math.max(1, Math.min(answers, Math.ceil((answers * config.vocabSize) / together)));
  const at = (piece: number) => Math.floor((piece * answers) / pieces);
  const parts = Array.from({ length: pieces }, (_, piece) => {
    const rows = (x: Value) => (pieces === 1 ? x : b.slice(x, 0, at(piece), at(piece + 1)));
    const logProbabilities = b.logSoftmax(logitsOf(weights, rows(answered)));
    const nll = negativeLogLikelihood(logProbabilities, rows(target), options.labelSmoothing);
    return { logProbabilities, nll };
  });
  const [{ logProbabilities }] = parts;
  const nll = b.concat(
    parts.map((part) => part.nll),
    0,
  );
  const terms = [weighted(nll, weight)];
  if (options.mixup) {
    const other = negativeLogLikelihood(
      logProbabilities,
      b.input('mix_target', 'int64', [answers]),
      options.labelSmoothing,
    );
    terms.push(weighted(other, b.input('mix_weight', 'float32', [answers])));
  }
  if (options.digits) {
    const { items, choices, squared } = options.digits;
    const choice = b.input('digit_choice', 'int64', [items * choices]);
    const scores = tokenScores(logProbabilities, choice, [items, choices]);
    const p = logSoftmaxOver(scores, b.input('digit_present', 'bool', [items, choices]));
    const error = expectedError(p, b.input('digit_error', 'float32', [items, choices]));
    terms.push(weighted(squared ? b.mul(error, error) : error, b.input('digit_weight', 'float32', [items])));
  }
  const candidates = grid && gridLosses(weights, b.slice(hidden, 0, answers, answers + grid.asked), grid);
  if (candidates) terms.push(weighted(candidates, b.input('candidate_weight', 'float32', [grid.items])));
  const loss = terms.reduce((sum, term) => b.add(sum, term));
  return {
    weights,
    delta,
    loss,
    objective: options.consistency
      ? b.add(
          loss,
          weighted(
            symmetricKl(logProbabilities, b.state('reference', 'float32', logProbabilities.shape)),
            b.input('consistency_weight', 'float32', [answers]),
          ),
        )
      : loss,
    nll,
    logProbabilities,
    pieces,
    candidates,
  };
}

function gridLosses(weights: GraphWeights, hidden: Value, grid: NonNullable<StepOptions['grid']>): Value {
  const { items, choices, depth, edges, loss } = grid;
  const scores = answerScores(
    b.logSoftmax(logitsOf(weights, hidden)),
    b.input('edge', 'int64', [edges]),
    b.input('path', 'int64', [items * choices * depth]),
    [items, choices, depth],
  );
  const present = b.input('candidate_present', 'bool', [items, choices]);
  const value = b.input('candidate_value', 'float32', [items, choices]);
  if (typeof loss === 'object') return distillation(scores, present, value, loss.temperature);
  const p = logSoftmaxOver(scores, present);
  if (loss === 'crossEntropy') return crossEntropy(p, value);
  const error = expectedError(p, value);
  return b.mul(error, error);
}

/**
 * `loss` = Σ w·nll with `answer_weight` [n] (0 on padding; weights that sum to 1 make it a mean) and what the options add;
 * `nll` [n], the negative log-likelihood of each answer token in nats, smoothed where that is asked; `grad.<name>` for every
 * trained weight, of the loss and the consistency with another run. With `delta`, `grad.delta` [N, E]; with `consistency`,
 * `log_probabilities` [n, V].
 */
export function trainGraph(
  config: ModelConfig,
  method: Method,
  shape: StepShape,
  options: StepOptions = {},
): Record<string, Value> {
  const { weights, delta, loss, objective, nll, logProbabilities, pieces } = step(
    config,
    method,
    shape,
    options,
  );
  const trained = trainableParameters(config, method);
  const wrt = trained.map(({ name }) => weights.values.get(name)!);
  const grads = gradients(objective, delta ? [...wrt, delta] : wrt, options);
  const others = {
    ...Object.fromEntries(trained.map(({ name }, i) => [slotNames.gradient(name), grads[i]])),
    ...(delta ? { [slotNames.gradient('delta')]: grads[wrt.length] } : {}),
    ...(options.consistency ? { log_probabilities: logProbabilities } : {}),
  };
  // What is listed last is computed first: once the losses are there the gradient may take the place of the log-probabilities.
  return pieces > 1 ? { ...others, nll, loss } : { loss, nll, ...others };
}

/** `grad.delta` [N, E] alone, of the loss and the consistency with another run: an ascent step of an adversarial method. */
export function ascentGraph(
  config: ModelConfig,
  method: Method,
  shape: StepShape,
  options: StepOptions,
): Record<string, Value> {
  const { delta, objective } = step(config, method, shape, { ...options, delta: true });
  return { [slotNames.gradient('delta')]: gradients(objective, [delta!], options)[0] };
}

/** `log_probabilities` [n, V] alone, of what another run is to be consistent with. */
export function referenceGraph(
  config: ModelConfig,
  method: Method,
  shape: StepShape,
  options: StepOptions,
): Record<string, Value> {
  const { grid: _, digits: __, consistency: ___, ...asked } = options;
  return { log_probabilities: step(config, method, shape, asked, true).logProbabilities };
}

/** `nll` [n], and `candidates` [items], ℓ of each, where there is a grid: for validation. */
export function lossGraph(
  config: ModelConfig,
  method: Method,
  shape: StepShape,
  { grid }: Pick<StepOptions, 'grid'> = {},
): Record<string, Value> {
  const { nll, candidates } = step(config, method, shape, { grid });
  return { nll, ...(candidates ? { candidates } : {}) };
}
