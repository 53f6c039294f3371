/** What becomes of an experiment when the feature set that it waits for is ready, or failed. Pure. */
import { show } from '@emotune/base';
import { common, type featurization } from '@emotune/proto';
import { nothingFits, rowLengths } from './memory.js';
import type { Experiment, Features } from './state.js';

/** Whether its features are still to come. */
export function isUnbound({ state, features }: Pick<Experiment, 'state' | 'features'>): boolean {
  return (state === 'waiting' || state === 'paused') && features.state === 'waiting';
}

function featuresIn({ plan, bases }: Experiment, set: featurization.FeatureSet): Features {
  if (set.state === common.BuildState.BUILD_STATE_FAILED) return { state: 'failed', reason: set.failure };
  if (set.state !== common.BuildState.BUILD_STATE_READY) return { state: 'waiting' };
  const prefixes = Object.fromEntries(set.tokenized.map(({ tokenizer, prefix }) => [tokenizer, prefix]));
  const missing = bases.filter(({ tokenizer }) => prefixes[tokenizer] === undefined);
  if (missing.length > 0) {
    const names = missing.map(({ model }) => model).join(', ');
    const reason = `feature set ${show(set.name)} was not made for the tokenizer of ${names}; create one whose baseModels name it`;
    return { state: 'failed', reason };
  }
  const rows = rowLengths(set);
  const [tooLarge] = nothingFits(plan, bases, rows);
  if (tooLarge) return { state: 'failed', reason: `${tooLarge.field}: ${tooLarge.description}` };
  const { version, spec, datasetVersion } = set;
  return {
    state: 'ready',
    bound: { version, dataset: spec?.dataset ?? '', datasetVersion, prefixes, rows },
  };
}

/** The experiment with what has become of its feature set; one that has its features keeps them. */
export function bound(experiment: Experiment, set: featurization.FeatureSet): Experiment {
  if (!isUnbound(experiment)) return experiment;
  const features = featuresIn(experiment, set);
  return features.state === 'waiting' ? experiment : { ...experiment, features };
}
