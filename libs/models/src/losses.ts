/**
 * What a training step minimises, as graphs over log-probabilities. n answer tokens, V vocabulary; weights are 0 on
 * padding, and make a sum a mean.
 */
import { build as b, type Value } from '@emotune/graph';

function total(x: Value): Value {
  return b.reshape(
    b.reduceSum(
      x,
      x.shape.map((_, axis) => axis),
    ),
    [],
  );
}

/** Σ w·x of two [n]. */
export function weighted(x: Value, weight: Value): Value {
  return total(b.mul(b.reshape(x, weight.shape), weight));
}

/**
 * [n]: (1 − ε)·(−log p(target)) + ε·(−mean over V of log p), the target smoothed uniformly (Szegedy et al. 2016, section 7),
 * of `logProbabilities` [n, V].
 */
export function negativeLogLikelihood(logProbabilities: Value, target: Value, smoothing = 0): Value {
  const shape = [logProbabilities.shape[0]];
  const nll = b.reshape(b.neg(b.pick(logProbabilities, target)), shape);
  if (smoothing === 0) return nll;
  const uniform = b.reshape(b.neg(b.mean(logProbabilities, [-1])), shape);
  return b.add(b.mul(nll, b.scalar(1 - smoothing)), b.mul(uniform, b.scalar(smoothing)));
}

/**
 * [n]: KL(p‖q) + KL(q‖p) = Σ over V of (p − q)(log p − log q), of two [n, V]. Where one of them is an input, its gradient is
 * that of one side only; the sides add up to the whole.
 */
export function symmetricKl(logP: Value, logQ: Value): Value {
  const terms = b.mul(b.sub(b.exp(logP), b.exp(logQ)), b.sub(logP, logQ));
  return b.reshape(b.reduceSum(terms, [-1]), [logP.shape[0]]);
}

/** Log-probabilities of some of the choices, [m, c], renormalised over those that are `present` [m, c] (bool). */
export function logSoftmaxOver(scores: Value, present: Value): Value {
  return b.logSoftmax(b.where(present, scores, b.scalar(-1e9)));
}

/** [m]: −Σ over the choices of target·log p, targets [m, c] adding up to 1 in each row. */
export function crossEntropy(logProbabilities: Value, target: Value): Value {
  return b.reshape(b.reduceSum(b.neg(b.mul(logProbabilities, target)), [-1]), [target.shape[0]]);
}

/**
 * [m]: what is learnt from a teacher's `target` [m, c] over the choices that are `present`, the first of each row among them, of
 * log-likelihoods `scores` [m, c]: T²·H(target, softmax(scores/T)) − log Σ exp(scores). The first term is that of Hinton, Vinyals
 * and Dean (2015, section 2), whose T² keeps the size of its gradient; the second is what the choices lack of all probability. At
 * T = 1 their sum is −Σ target·scores, the cross-entropy of whole sequences (Kim and Rush 2016, section 3.2).
 */
export function distillation(scores: Value, present: Value, target: Value, temperature: number): Value {
  if (temperature === 1) return crossEntropy(scores, target);
  const [m] = target.shape;
  const softened = logSoftmaxOver(b.mul(scores, b.scalar(1 / temperature)), present);
  const lacking = b.sub(logSoftmaxOver(scores, present), scores);
  return b.add(
    b.mul(crossEntropy(softened, target), b.scalar(temperature ** 2)),
    b.reshape(b.slice(lacking, 1, 0, 1), [m]),
  );
}

/** [m]: Σ over the choices of p·error, errors [m, c] being those of each choice. */
export function expectedError(logProbabilities: Value, errors: Value): Value {
  return b.reshape(b.reduceSum(b.mul(b.exp(logProbabilities), errors), [-1]), [errors.shape[0]]);
}

/** Log-probabilities of `edges` [e], flat indices row·V + token, of `logProbabilities` [rows, V]. */
function edgeScores(logProbabilities: Value, edges: Value): Value {
  const [rows, vocabulary] = logProbabilities.shape;
  return b.gather(b.reshape(logProbabilities, [rows * vocabulary]), edges);
}

/**
 * Scores [m, c] of the choices of one token each: `choices` [m·c] are flat indices row·V + token of `logProbabilities`
 * [rows, V].
 */
export function tokenScores(
  logProbabilities: Value,
  choices: Value,
  shape: readonly [number, number],
): Value {
  return b.reshape(edgeScores(logProbabilities, choices), shape);
}

/**
 * Log-probabilities [m, c] of whole answers: `paths` [m·c·d] are indices of `edges` [e] (flat, row·V + token), whose
 * log-probabilities add up; e stands for none.
 */
export function answerScores(
  logProbabilities: Value,
  edges: Value,
  paths: Value,
  [m, c, depth]: readonly [number, number, number],
): Value {
  const scores = b.concat([edgeScores(logProbabilities, edges), b.zeros([1])], 0);
  return b.reshape(b.reduceSum(b.reshape(b.gather(scores, paths), [m, c, depth]), [-1]), [m, c]);
}
