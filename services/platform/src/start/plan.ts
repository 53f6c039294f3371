/** What `npm start` asks of the services: pure, from its few settings. */
import { type data, type featurization, type tuning } from '@emotune/proto';
import type { Draft } from '@emotune/service/client';

export type Budget = 'small' | 'full';

export interface StartPlan {
  readonly dataset: Draft<data.DatasetSpec> & { readonly name: string };
  readonly features: Draft<featurization.FeatureSetSpec> & { readonly name: string };
  /** Without a name: runs are numbered. */
  readonly experiment: Draft<tuning.ExperimentSpec>;
  /** Every run's name begins with it. */
  readonly runPrefix: string;
}

interface Size {
  /** Rows kept of each source; 0 keeps all. */
  readonly sourceRows: number;
  /** Rows kept of each subtask and split. */
  readonly rows: { readonly train: number; readonly validation: number; readonly test: number };
  readonly trials: number;
  /** Tokens of one search trial. */
  readonly tokens: number;
  /** Search is done with few tokens; the final training sees this many times those of the winner's best point. */
  readonly finalScale: number;
  readonly validationExamples: number;
  readonly batchTokens: readonly number[];
}

const sizes: Record<Budget, Size> = {
  small: {
    sourceRows: 2000,
    rows: { train: 1500, validation: 600, test: 250 },
    trials: 6,
    tokens: 30_000,
    finalScale: 16,
    validationExamples: 100,
    batchTokens: [512, 1024],
  },
  full: {
    sourceRows: 0,
    rows: { train: 8000, validation: 1200, test: 1200 },
    trials: 6,
    tokens: 60_000,
    finalScale: 24,
    validationExamples: 160,
    batchTokens: [1024, 2048],
  },
};

/** Those whose labels are real; all English, as our base models are. */
const corpora = [
  'vader-tweets',
  'vader-movies',
  'vader-amazon',
  'vader-nyt',
  'emobank',
  'goemotions-ekman',
  'xed-en',
];

export interface StartSettings {
  /** Real corpora, or the bundled demonstration data alone. */
  readonly real: boolean;
  readonly budget: Budget;
  readonly seed: number;
  readonly baseModels: readonly { readonly architecture: string; readonly model: string }[];
  /** Processors of this machine. */
  readonly processors: number;
}

export function startPlan({ real, budget, seed, baseModels, processors }: StartSettings): StartPlan {
  const size = sizes[budget];
  const name = `start-${real ? 'corpora' : 'demo'}-${budget}-${seed}`;
  const parallelTrials = Math.max(1, Math.min(4, processors));
  const limit = size.sourceRows;
  return {
    dataset: {
      name,
      // Demonstration data trains on intensities of emotions, which no open corpus has; it is never tested on beside real data.
      sources: real
        ? [...corpora.map((corpus) => ({ corpus, limit })), { corpus: 'emotune-demo', split: 'train' }]
        : [{ corpus: 'emotune-demo' }, { corpus: 'review-sentences' }],
      // Base models were pre-trained without the rows that this seed sets aside.
      split: { validation: 0.1, test: 0.1, seed: 0 },
    },
    features: {
      name,
      dataset: name,
      baseModels: baseModels.map(({ model }) => model),
      seed,
      limitTrain: size.rows.train,
      limitValidation: size.rows.validation,
      limitTest: size.rows.test,
    },
    experiment: {
      features: name,
      baseModels: [...baseModels],
      searchAlgorithm: { name: 'tpe', settings: { startUpTrials: Math.ceil(size.trials / 2) } },
      parameters: [
        // Higher rates win short trials and lose the final training, which is so much longer.
        { name: 'learningRate', double: { min: 1e-4, max: 8e-4, log: true } },
        { name: 'replay', double: { min: 0.5, max: 1 } },
        {
          name: 'batchTokens',
          categorical: { values: [...size.batchTokens] },
        },
      ],
      limits: { maxTrials: size.trials, parallelTrials },
      training: {
        trialTokens: size.tokens,
        finalScale: size.finalScale,
        settings: { validationExamples: size.validationExamples },
        threads: Math.max(1, Math.floor(processors / parallelTrials)),
      },
      seed,
      model: `affect-${budget}`,
    },
    runPrefix: name,
  };
}
