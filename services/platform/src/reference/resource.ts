/**
 * experiments.emotune.io: the definition that a cluster has of an experiment. Its spec is what experiment.yaml holds, but for the
 * name, which is the object's; what a single object can show to be wrong the API server refuses, and the service judges the rest.
 */
import { type SpecField, type SpecMessage, type SpecType, specMessages } from '@emotune/cli/spec';

type Schema = Record<string, unknown>;

interface Rule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

const root = 'ExperimentSpec';
const named = 'emotune.tuning.v1.ExperimentSpec';

/** The API server counts what a rule may cost at most, for which it must know how much there can be. */
const most = { items: 1000, properties: 100, characters: 512 };

/** Once it is accepted; how far the search goes may be raised. */
const changeable = ['limits'];

const range = (zero: string): readonly Rule[] => [
  { rule: 'self.min <= self.max', message: 'expected at most max', fieldPath: '.min' },
  {
    rule: `!has(self.log) || !self.log || self.min > ${zero}`,
    message: 'expected a number above 0 on a log scale',
    fieldPath: '.min',
  },
];

/** By message: what its fields must be to each other. */
const rules: Readonly<Record<string, readonly Rule[]>> = {
  DoubleRange: range('0.0'),
  IntegerRange: range('0'),
  EarlyStopping: [
    {
      rule: '!has(self.compareAll) || !self.compareAll || !has(self.strata) || self.strata.size() == 0',
      message: 'expected none with compareAll',
      fieldPath: '.strata',
    },
  ],
  [root]: [
    {
      rule: '!has(self.limits) || !has(self.limits.maxCost) || self.limits.maxCost == 0.0 || (has(self.cost) && has(self.cost.pricePerGpuHour) && self.cost.pricePerGpuHour > 0.0)',
      message: 'expected cost.pricePerGpuHour beside it',
      fieldPath: '.limits.maxCost',
    },
  ],
};

const plain: Readonly<Record<string, Schema>> = {
  text: { type: 'string', maxLength: most.characters },
  integer: { type: 'integer', format: 'int64' },
  number: { type: 'number' },
  flag: { type: 'boolean' },
  any: { 'x-kubernetes-preserve-unknown-fields': true },
};

const shortName = (message: string) => message.split('.').at(-1)!;

function oneOfRule(choice: readonly string[]): Rule {
  const given = choice.map((name) => `(has(self.${name}) ? 1 : 0)`);
  return { rule: `${given.join(' + ')} == 1`, message: `expected one of ${choice.join(', ')}` };
}

/** What the service has refused can be mended. */
const unsettled = "!has(oldSelf.status) || !has(oldSelf.status.state) || oldSelf.status.state == 'Refused'";

function unchanged(name: string): Rule {
  const same = `has(self.spec.${name}) == has(oldSelf.spec.${name}) && (!has(self.spec.${name}) || self.spec.${name} == oldSelf.spec.${name})`;
  return {
    rule: `${unsettled} || (${same})`,
    message: `expected it as it was: of an experiment that was accepted only ${changeable.join(', ')} can change`,
    fieldPath: `.spec.${name}`,
  };
}

class Definition {
  private readonly messages: ReadonlyMap<string, SpecMessage>;

  constructor() {
    this.messages = new Map(specMessages(named).map((message) => [message.name, message]));
  }

  private type(type: SpecType): Schema {
    if (type.kind === 'mapping') return this.message(this.messages.get(type.message)!);
    return type.kind === 'words' ? { type: 'string', enum: type.words } : plain[type.kind];
  }

  private field({ name, type, many, range, example, usual, description }: SpecField): Schema {
    const one = {
      ...this.type(type),
      ...(range?.low === undefined ? {} : { minimum: range.low }),
      ...(range?.high === undefined ? {} : { maximum: range.high }),
    };
    const told = [
      description,
      usual === undefined ? '' : `Default: ${usual}.`,
      example === undefined ? '' : `Example: ${example}.`,
    ];
    const text = told.filter(Boolean).join(' ');
    const described = text === '' ? {} : { description: text };
    if (many === 'by name')
      return { ...described, type: 'object', maxProperties: most.properties, additionalProperties: one };
    if (many === 'one') return { ...one, ...described };
    return {
      ...{ ...described, type: 'array', maxItems: most.items },
      ...(name === 'baseModels' ? { minItems: 1 } : {}),
      // Two of one name are refused, and each has an owner of its own.
      ...(name === 'parameters'
        ? { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }
        : {}),
      items: one,
    };
  }

  message({ name, fields, choices, settings, description }: SpecMessage): Schema {
    const shown = fields.filter((field) => shortName(name) !== root || field.name !== 'name');
    const required = shown.filter((field) => field.required).map((field) => field.name);
    const validations = [...(rules[shortName(name)] ?? []), ...choices.map(oneOfRule)];
    return {
      type: 'object',
      ...(description === '' ? {} : { description }),
      ...(required.length > 0 ? { required } : {}),
      properties: Object.fromEntries(shown.map((field) => [field.name, this.field(field)])),
      // Names of settings are the service's to know.
      ...(settings ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
      ...(validations.length > 0 ? { 'x-kubernetes-validations': validations } : {}),
    };
  }

  get spec(): Schema {
    return this.message(this.messages.get(named)!);
  }

  /** Those of the spec that stay as they are. */
  get fixed(): readonly string[] {
    const { fields } = this.messages.get(named)!;
    return fields.map(({ name }) => name).filter((name) => name !== 'name' && !changeable.includes(name));
  }
}

const text = (description: string): Schema => ({ type: 'string', description });
const whole = (description: string): Schema => ({ type: 'integer', format: 'int64', description });

const condition: Schema = {
  type: 'object',
  required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
  properties: {
    type: { type: 'string', maxLength: 316 },
    status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
    observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
    lastTransitionTime: { type: 'string', format: 'date-time' },
    reason: {
      type: 'string',
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
    },
    message: { type: 'string', maxLength: 32_768 },
  },
};

const status: Schema = {
  type: 'object',
  description: 'What the service says of it.',
  properties: {
    observedGeneration: whole('Of the spec that this is the status of.'),
    state: text('Waiting, Running, Paused, Finalizing, Succeeded, Failed, Cancelled, or Refused.'),
    reason: text('Why it is in that state, for people.'),
    trials: text('Search trials that have ended, of how many there can be.'),
    trialsRunning: whole('Search trials that run.'),
    trialsSucceeded: whole('Search trials that have succeeded.'),
    trialsFailed: whole('Search trials that failed or whose parameters cannot work.'),
    bestTrial: whole('Number of the best trial.'),
    bestObjective: text('Objective of the best trial.'),
    model: text('The registered model version, name@version.'),
    gpuHours: text('Used by search trials so far.'),
    startTime: { type: 'string', format: 'date-time' },
    endTime: { type: 'string', format: 'date-time' },
    conditions: {
      type: 'array',
      description: 'Accepted, Running, Succeeded.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: condition,
    },
  },
};

const columns = [
  ['State', 'string', '.status.state'],
  ['Trials', 'string', '.status.trials'],
  ['Running', 'integer', '.status.trialsRunning'],
  ['Best', 'integer', '.status.bestTrial'],
  ['Objective', 'string', '.status.bestObjective'],
  ['GPU-h', 'string', '.status.gpuHours'],
  ['Age', 'date', '.metadata.creationTimestamp'],
];
const wideColumns = [
  ['Model', 'string', '.status.model'],
  ['Reason', 'string', '.status.reason'],
];

const columnOf = ([name, type, jsonPath]: readonly string[]) => ({ name, type, jsonPath });

/** The CustomResourceDefinition. */
export function experimentResource(): object {
  const definition = new Definition();
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'experiments.emotune.io' },
    spec: {
      group: 'emotune.io',
      scope: 'Namespaced',
      names: {
        kind: 'Experiment',
        listKind: 'ExperimentList',
        plural: 'experiments',
        singular: 'experiment',
        shortNames: ['exp'],
        categories: ['emotune'],
      },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          selectableFields: [{ jsonPath: '.status.state' }],
          additionalPrinterColumns: [
            ...columns.map(columnOf),
            ...wideColumns.map((column) => ({ ...columnOf(column), priority: 1 })),
          ],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: 'An experiment of EmoTune. Deleting it cancels it.',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: definition.spec,
                status,
              },
              'x-kubernetes-validations': [
                {
                  rule: "self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$')",
                  message: 'metadata.name: expected at most 40 lower-case letters, digits and dashes',
                },
                ...definition.fixed.map(unchanged),
              ],
            },
          },
        },
      ],
    },
  };
}
