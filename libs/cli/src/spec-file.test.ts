import { InvalidArgument, type Violation } from '@emotune/base';
import { specOf } from '@emotune/service/spec';
import { describe, expect, it } from 'vitest';
import { parseYaml } from './yaml-file.js';

function parseSpec(yaml: string, type: string, origin: string): unknown {
  return specOf(parseYaml(yaml, origin), type, origin);
}

const experiment = 'emotune.tuning.v1.ExperimentSpec';

function violations(yaml: string, type = experiment): readonly Violation[] {
  try {
    parseSpec(yaml, type, 'spec.yaml');
  } catch (error) {
    if (error instanceof InvalidArgument) return error.violations;
    throw error;
  }
  throw new Error('accepted');
}

describe('parseSpec', () => {
  it('maps shorthand to the message', () => {
    const spec = parseSpec(
      `
name: first
objective: {metric: answer-nll, goal: minimize}
parameters:
  - name: architecture
    categorical: {values: [opt, bloom, 3, true]}
  - name: learningRate
    double: {min: 1e-5, max: 0.01, log: true}
    condition: {parameter: architecture, values: [opt]}
`,
      experiment,
      'spec.yaml',
    );
    expect(spec).toEqual({
      name: 'first',
      objective: { metric: 'answer-nll', goal: 'GOAL_MINIMIZE' },
      parameters: [
        {
          name: 'architecture',
          categorical: { values: ['opt', 'bloom', 3, true] },
        },
        {
          name: 'learningRate',
          double: { min: 1e-5, max: 0.01, log: true },
          condition: { parameter: 'architecture', values: ['opt'] },
        },
      ],
    });
  });

  it('keeps settings whatever their names', () => {
    const names = ['constructor', 'toString', '__proto__'];
    const yaml = `training: {${names.map((name) => `"${name}": 1`).join(', ')}}`;
    const { training } = parseSpec(yaml, experiment, 'spec.yaml') as { training: { settings: object } };
    expect(Object.entries(training.settings)).toEqual(names.map((name) => [name, 1]));
    expect(violations('name: a\nconstructor: 1').map(({ field }) => field)).toEqual(['constructor']);
  });

  it('reads a scale and a task of a dataset', () => {
    const spec = parseSpec(
      'name: mine\nsources: [{file: {path: /a.csv, task: sentiment-regression, scale: "-4..4"}}]',
      'emotune.data.v1.DatasetSpec',
      'x',
    );
    expect(spec).toEqual({
      name: 'mine',
      sources: [
        {
          file: {
            upload: { name: '/a.csv' },
            task: 'TASK_SENTIMENT_REGRESSION',
            scale: { low: -4, high: 4 },
          },
        },
      ],
    });
  });

  it('names every misspelt field with its neighbour and every wrong value', () => {
    expect(
      violations(
        'nmae: x\nlimits: {maxTrails: 3, maxTrials: many}\nobjective: {goal: minimise}\nparameters: {a: 1}',
      ),
    ).toEqual([
      { field: 'nmae', description: 'unknown field, did you mean "name"?' },
      { field: 'limits.maxTrails', description: 'unknown field, did you mean "maxTrials"?' },
      { field: 'limits.maxTrials', description: 'expected an integer, got "many"' },
      {
        field: 'objective.goal',
        description: 'expected one of minimize, maximize (did you mean "minimize"?), got "minimise"',
      },
      { field: 'parameters', description: 'expected a list, got {"a":1}' },
    ]);
  });

  it('reads every kind of field of a spec', () => {
    const spec = parseSpec(
      `
name: mine
dataset: mine
baseModels: [emotune-opt-4m]
withoutCues: true
seed: 9007199254740991
limitTrain: 2147483647
`,
      'emotune.featurization.v1.FeatureSetSpec',
      'x',
    );
    expect(spec).toEqual({
      name: 'mine',
      dataset: 'mine',
      baseModels: ['emotune-opt-4m'],
      withoutCues: true,
      seed: 9007199254740991,
      limitTrain: 2147483647,
    });
    expect(parseSpec('searchAlgorithm: {name: tpe, settings: {startUpTrials: 4}}', experiment, 'x')).toEqual({
      searchAlgorithm: { name: 'tpe', settings: { startUpTrials: 4 } },
    });
  });

  it('refuses what the wire would change or drop', () => {
    expect(
      violations(
        `
constructor: 1
limits: {maxTrials: 2147483648, maxTokens: 9007199254740993, maxDurationSeconds: .inf}
searchAlgorithm: {settings: {startUpTrials: four}}
parameters: [{name: x, double: {min: 1, max: 2}, integer: {min: 1, max: 2}}]
`,
      ),
    ).toEqual([
      { field: 'constructor', description: expect.stringContaining('unknown field') },
      { field: 'limits.maxTrials', description: 'expected an integer of at most 2147483647, got 2147483648' },
      { field: 'limits.maxTokens', description: 'expected an integer, got 9007199254740992' },
      { field: 'limits.maxDurationSeconds', description: 'expected a number, got Infinity' },
      { field: 'searchAlgorithm.settings.startUpTrials', description: 'expected a number, got "four"' },
      {
        field: 'parameters[0]',
        description: 'expected only one of double, integer, categorical, got "double and integer"',
      },
    ]);
  });

  it('says where YAML itself is broken', () => {
    expect(violations('name: [1, 2\nfoo: bar: baz')[0].field).toBe('spec.yaml');
    expect(violations('- 1')).toEqual([{ field: 'spec.yaml', description: 'expected a mapping, got [1]' }]);
    expect(violations('')[0].description).toBe('expected a mapping, got null');
    expect(violations('a: 1\na: 2')[0].description).toContain('expected a key once');
  });
});
