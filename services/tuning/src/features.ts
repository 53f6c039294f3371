/** What becomes of an experiment when the feature set that it waits for is ready, or failed. Pure. */
import { show, type Violation } from '@emotune/base';
import { common, type featurization } from '@emotune/proto';
import { rowLengths } from './memory.js';
import type { Experiment, Features } from './state.js';

/** Whether its features are still to come. */
export function isUnbound({ state, features }: Pick<Experiment, 'state' | 'features'>): boolean {
  return (state === 'waiting' || state === 'paused') && features.state === 'waiting';
}

function featuresIn(
  { bases }: Experiment,
  set: featurization.FeatureSet,
  misfit: Violation | undefined,
): Features {
  if (set.state === common.BuildState.BUILD_STATE_FAILED) return { state: 'failed', reason: set.failure };
  if (set.state !== common.BuildState.BUILD_STATE_READY) return { state: 'waiting' };
  const prefixes = Object.fromEntries(set.tokenized.map(({ tokenizer, prefix }) => [tokenizer, prefix]));
  const missing = bases.filter(({ tokenizer }) => prefixes[tokenizer] === undefined);
  if (missing.length > 0) {
    const names = missing.map(({ model }) => model).join(', ');
    const reason = `feature set ${show(set.name)} was not made for the tokenizer of ${names}; create one whose baseModels name it`;
    return { state: 'failed', reason };
  }
  if (misfit) return { state: 'failed', reason: `${misfit.field}: ${misfit.description}` };
  const { version, spec, datasetVersion } = set;
  return {
    state: 'ready',
    bound: { version, dataset: spec?.dataset ?? '', datasetVersion, prefixes, rows: rowLengths(set) },
  };
}

/**
 * The experiment with what has become of its feature set; one that has its features keeps them.
 * @param misfit Why no trial fits into memory with the set's rows, where none does.
 */
export function bound(experiment: Experiment, set: featurization.FeatureSet, misfit?: Violation): Experiment {
  if (!isUnbound(experiment)) return experiment;
  const features = featuresIn(experiment, set, misfit);
  return features.state === 'waiting' ? experiment : { ...experiment, features };
}
