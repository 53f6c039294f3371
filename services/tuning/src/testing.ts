/** An experiment spec as a client would send it, for tests. */
import { tuning } from '@emotune/proto';

type Changes = Partial<
  Omit<tuning.ExperimentSpec, 'limits' | 'training' | 'objective' | 'searchAlgorithm'>
> & {
  limits?: Partial<tuning.Limits>;
  training?: Partial<tuning.TrainingSpec>;
  objective?: Partial<tuning.Objective>;
  searchAlgorithm?: Partial<tuning.SearchAlgorithm>;
};

export function experimentSpec(changes: Changes = {}): tuning.ExperimentSpec {
  const { limits, training, objective, searchAlgorithm, ...rest } = changes;
  return {
    name: 'run',
    features: 'demo',
    baseModels: [{ architecture: 'opt', model: 'base-opt' }],
    parameters: [
      {
        name: 'learningRate',
        double: { min: 1e-5, max: 1e-2, log: true, step: 0 },
        condition: undefined,
        default: undefined,
      },
    ],
    seed: 1,
    model: '',
    ...rest,
    objective: { metric: '', goal: tuning.Goal.GOAL_UNSPECIFIED, ...objective },
    searchAlgorithm: { name: '', settings: {}, ...searchAlgorithm },
    limits: {
      ...{ maxTrials: 0, parallelTrials: 0, maxFailedTrials: 0, maxDurationSeconds: 0 },
      ...{ maxAttempts: 0, maxTokens: 0 },
      ...limits,
    },
    training: {
      ...{ method: '', trialTokens: 0, finalScale: 0, batchTokens: 0, validationExamples: 0 },
      ...{ replay: 0, threads: 0, checkpointSeconds: 0 },
      ...training,
    },
  };
}
