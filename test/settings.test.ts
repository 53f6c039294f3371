/** Every setting of training on its way from an experiment, through the tuning service and the contract, to a trainer. */
import { type PlainValue, type tuning } from '@emotune/proto';
import { settingsOf } from '@emotune/trainer';
import { type Setting, settings, trainSpecOf } from '@emotune/training';
import { planOf } from '@emotune/tuning';
import { describe, expect, it } from 'vitest';

type Named = Readonly<Record<string, PlainValue>>;

/** What a setting needs beside it to mean something, where no owner tells. */
const beside: Readonly<Record<string, Named>> = {
  loraRank: { method: 'lora' },
  loraAlpha: { method: 'lora' },
  decayRatio: { schedule: 'warmup_stable_decay' },
  decayType: { schedule: 'warmup_stable_decay' },
  mixingTemperature: { curriculum: 'mixed' },
  competenceStart: { competence: 'length' },
  ranks: { gradientAccumulation: 3 },
  'regularisation.dropout.lora': { method: 'lora' },
  'regularisation.mixout.over': { 'regularisation.mixout.rate': 0.5 },
  'regularisation.perturbation.proximal': { ema: 0.9 },
};
/** Settings that are mappings are said key by key. */
const keys: Readonly<Record<string, Named>> = {
  'lora.rankPattern': { 'lora.rankPattern.mlp\\.q$': 3 },
  'lora.alphaPattern': { 'lora.alphaPattern.mlp\\.q$': 3 },
};
/** Among them every setting has a value that is not its default. */
const values: readonly PlainValue[] = [
  ...[
    'lora',
    'adafactor',
    'linear',
    'staged',
    'mixed',
    'length',
    'cosine',
    'none',
    'blocks',
    'int8',
    'all',
    'cpu',
  ],
  ...['squared', 'raft', 'element', 'neftune', 'normal', false, true, 0.5, 3, 7, 17, -0.5],
  ...[['q_proj'], [1]],
];

function sampleOf(setting: Setting): PlainValue {
  const [{ type, default: usual }] = setting.variants;
  const all = setting.name.endsWith('.name') ? values.filter((value) => value !== 'none') : values;
  const found = all.find((value) => value !== usual && type.safeParse(value).success);
  if (found === undefined) throw new Error(`no value of ${setting.name} is among those of this test`);
  return found;
}

const fixable = [...settings.values()].filter(({ ofRun }) => !ofRun);

function needsOf({ name, of }: Setting): Named {
  return { ...(of ? { [of.setting]: of.names[0] } : {}), ...beside[name] };
}

const architecture: tuning.Parameter = {
  name: 'architecture',
  categorical: { values: ['opt'] },
  condition: undefined,
  default: undefined,
};

function experiment(fixed: Named, parameters: readonly tuning.Parameter[] = []): tuning.ExperimentSpec {
  return {
    name: 'run',
    features: 'demo',
    baseModels: [
      {
        architecture: 'opt',
        model: 'base-opt',
        nodeSelector: {},
        tolerations: [],
        priorityClass: '',
        gpus: 0,
        gpuResource: '',
      },
    ],
    objective: undefined,
    searchAlgorithm: { name: 'random', settings: {} },
    parameters: [...parameters, architecture],
    limits: undefined,
    training: {
      settings: fixed,
      trialTokens: 20_000,
      finalScale: 0,
      threads: 0,
      memoryLimitMib: 0,
      folds: 0,
    },
    seed: 1,
    model: '',
    earlyStopping: undefined,
    cost: undefined,
    warmStart: [],
    termination: undefined,
  };
}

/** What a trainer makes of it, by the plan as it is recorded. */
function told(spec: tuning.ExperimentSpec, parameters: Named = {}) {
  const { training } = planOf(JSON.parse(JSON.stringify(planOf(spec).spec)));
  return settingsOf(
    {
      trial: undefined,
      kind: 'TRIAL_KIND_SEARCH' as tuning.TrialKind,
      architecture: 'opt',
      baseModelPrefix: '',
      featuresPrefix: '',
      trainSplits: ['train'],
      validationSplit: 'validation',
      parameters,
      training,
      seed: 1,
      totalTokens: training.trialTokens,
      outputPrefix: '',
      leaseSeconds: 1,
      finishedFolds: [],
      originPrefix: '',
      originTokens: 0,
      lineageTokens: 0,
    },
    { threads: 1 },
  );
}

const rows = { tasks: ['a', 'b'], validationTokens: 0 };
const at = (root: unknown, place: readonly string[]) =>
  place.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], root);

describe('every setting', () => {
  it.each(fixable)('$name can be fixed in an experiment and reaches the run', (setting) => {
    const { name, place } = setting;
    const needs = needsOf(setting);
    const value = keys[name] ? undefined : sampleOf(setting);
    const given = { ...needs, ...(value === undefined ? keys[name] : { [name]: value }) };
    const settings = told(experiment(given));
    expect(at(settings, place)).toEqual(value ?? { 'mlp\\.q$': 3 });
    // Validation rows are counted by who reads them.
    if (name === 'validationExamples') return;
    const without = Object.keys(needs).length === 0 ? {} : needs;
    expect(trainSpecOf(settings, rows)).not.toEqual(trainSpecOf(told(experiment(without)), rows));
  });

  it.each(fixable.filter(({ searchable }) => searchable))('$name can be searched over', (setting) => {
    const { name, place } = setting;
    const value = setting.name === 'lora.targets' ? 'all-linear' : sampleOf(setting);
    const text = setting.name === 'lora.exclude' ? '.*q_proj' : value;
    const parameter = {
      name,
      categorical: { values: [text] },
      condition: undefined,
      default: undefined,
    };
    const needs = needsOf(setting);
    expect(at(told(experiment(needs, [parameter]), { [name]: text }), place)).toEqual(text);
    expect(() => planOf(experiment({ ...needs, [name]: text }, [parameter]))).toThrow(
      `training.${name}: expected none beside parameters[0], which searches over it`,
    );
  });
});

describe('an experiment whose fixed settings cannot be is refused by their names', () => {
  const texts = (name: string, ...all: string[]): tuning.Parameter => ({
    name,
    categorical: { values: all },
    condition: undefined,
    default: undefined,
  });
  it.each<[Named, tuning.Parameter[], string | null]>([
    [{ 'lora.targts': ['q_proj'] }, [], 'training.lora.targts: unknown field, did you mean "lora.targets"?'],
    [{ trialTokns: 3 }, [], 'training.trialTokns: unknown field, did you mean "trialTokens"?'],
    [{ memoryLimitMiB: 3 }, [], 'training.memoryLimitMiB: unknown field, did you mean "memoryLimitMib"?'],
    [{ tokens: 3 }, [], 'training.tokens: expected none: it is of one run, not of all trials'],
    [
      { 'loss.labelSmoothing': 2 },
      [],
      'training.loss.labelSmoothing: expected numbers from 0 to less than 1, got 2',
    ],
    [{ loss: 3 }, [], 'training.loss: expected a mapping, got 3'],
    [
      { 'lora.targets': ['q'] },
      [],
      'training.lora.targets: expected none with method: full; it is of lora, and method is not given',
    ],
    [{ 'lora.targets': ['q'] }, [texts('method', 'full', 'lora')], null],
    [
      { beta1: 0.5 },
      [texts('optimizer', 'adafactor')],
      'training.beta1: expected none with optimizer: adafactor',
    ],
    [{ beta1: 0.5 }, [texts('optimizer', 'adafactor', 'lion')], null],
    [{ mixingTemperature: 2 }, [], 'training.mixingTemperature: expected curriculum: mixed beside it'],
    [{ mixingTemperature: 2 }, [texts('curriculum', 'mixed')], null],
    [
      { finalRatio: 0.5 },
      [texts('schedule', 'constant', 'inverse_sqrt')],
      'training.finalRatio: expected none with',
    ],
    [{ finalRatio: 0.5 }, [texts('schedule', 'constant', 'linear')], null],
  ])('%j', (fixed, parameters, message) => {
    const planned = () => planOf(experiment(fixed, parameters));
    if (message === null) expect(planned).not.toThrow();
    else expect(planned).toThrow(message);
  });

  it('a fixed setting of what a trial does not choose says nothing to it', () => {
    const spec = experiment({ 'lora.targets': ['q_proj'] }, [texts('method', 'full', 'lora')]);
    expect(told(spec, { method: 'full' }).method).toEqual({ name: 'full' });
    expect(told(spec, { method: 'lora' }).method).toMatchObject({ name: 'lora', targets: ['q_proj'] });
  });
});
