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
