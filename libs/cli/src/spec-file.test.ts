import { InvalidArgument, type Violation } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { parseSpec } from './spec-file.js';

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
          categorical: { values: [{ text: 'opt' }, { text: 'bloom' }, { number: 3 }, { flag: true }] },
        },
        {
          name: 'learningRate',
          double: { min: 1e-5, max: 0.01, log: true },
          condition: { parameter: 'architecture', values: [{ text: 'opt' }] },
        },
      ],
    });
  });

  it('reads a scale and a task of a dataset', () => {
    const spec = parseSpec(
      'name: mine\nsources: [{file: {path: /a.csv, task: sentiment-regression, scale: "-4..4"}}]',
      'emotune.data.v1.DatasetSpec',
      'x',
    );
    expect(spec).toEqual({
      name: 'mine',
      sources: [{ file: { path: '/a.csv', task: 'TASK_SENTIMENT_REGRESSION', scale: { low: -4, high: 4 } } }],
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

  it('says where YAML itself is broken', () => {
    expect(violations('name: [1, 2\nfoo: bar: baz')[0].field).toBe('spec.yaml');
    expect(violations('- 1')[0].description).toBe('expected a mapping, got [1]');
  });
});
