/** What the ablation turns on or off: one feature of training at a time, against a reference that has all the others as they are. */
import type { featurization } from '@emotune/proto';

export interface Feature {
  readonly name: string;
  /** What is done where it is on. */
  readonly what: string;
  /** Whether the reference has it; the variant of the feature is the reference with this turned round. */
  readonly inReference: boolean;
  /** Whether it is on where a user says nothing. */
  readonly byDefault: boolean;
  /** Of the variant. */
  readonly features?: Partial<featurization.FeatureSetSpec>;
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The reference where it says something of its own. */
export const referenceSettings = { curriculum: 'staged', replay: 1 } as const;
export const referenceFeatures = { labelBalance: 0.5 } as const;

const augmentation = (method: string) => ({ method, share: 0.25, strength: 0, language: '' });

export const features: readonly Feature[] = [
  {
    name: 'lexicon cues',
    what: 'what VADER and AFINN find in a text, in its prompt; three train rows of ten go without',
    inReference: true,
    byDefault: true,
    features: { withoutCues: true },
  },
  {
    name: 'curriculum',
    what: 'a stage for each subtask instead of one of all',
    inReference: true,
    byDefault: true,
    settings: { curriculum: 'mixed', replay: 0 },
  },
  {
    name: 'replay',
    what: 'rows of all earlier subtasks in each stage, as many as its own',
    inReference: true,
    byDefault: false,
    settings: { replay: 0 },
  },
  {
    name: 'label balance',
    what: 'rare labels by the square root of their counts',
    inReference: true,
    byDefault: false,
    features: { labelBalance: 0 },
  },
  {
    name: 'mixout',
    what: 'p = 0.7, by input feature',
    inReference: false,
    byDefault: false,
    settings: { regularisation: { mixout: { rate: 0.7 } } },
  },
  {
    name: 'adversarial training',
    what: 'FGM, ε = 1',
    inReference: false,
    byDefault: false,
    settings: { regularisation: { perturbation: { name: 'fgm' } } },
  },
  {
    name: 'augmentation',
    what: 'AEDA, deletion and misspelling of a quarter of the rows each',
    inReference: false,
    byDefault: false,
    features: { augmentations: ['aeda', 'random-deletion', 'spelling'].map(augmentation) },
  },
  {
    name: 'scale and label diversity',
    what: 'each row asked in two further ways: scales, words, orders, subsets and names of labels',
    inReference: false,
    byDefault: false,
    features: { varyScales: true },
  },
];

/** Of the runs that all features are compared with. */
export const reference = 'reference';
