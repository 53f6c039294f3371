import { NotFound, sha256 } from '@emotune/base';
import { common, evaluation } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { BUILD_STATE_BUILDING, BUILD_STATE_FAILED, BUILD_STATE_READY, note, unused } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

const evaluated = {
  id: 'e1',
  model: 'first@aa11',
  dataset: 'first@0123456789ab',
  failure: '',
  tasks: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      n: 120,
      valid: 1,
      metrics: { pearson: 0.75, rmse: 0.125, coverage: 0.81 },
      raw: { pearson: 0.75, rmse: 0.25, coverage: 0.5 },
      questions: [
        {
          task: common.Task.TASK_SENTIMENT_REGRESSION,
          emotion: '',
          scale: { low: -4, high: 4 },
          labels: [],
          multiLabel: false,
          n: 120,
          pConstant: 0.03125,
          skill: common.Skill.SKILL_BETTER,
          coverage: 0.81,
        },
      ],
      intervals: { pearson: { low: 0.5, high: 0.875 } },
      constant: { rmse: 0.25 },
      vader: { pearson: 0.5, rmse: 0.25 },
      humanCeiling: 0.875,
      pConstant: 0.03125,
      intensity: [
        { low: 0, high: 0.2, n: 60, bias: 0.125, interval: { low: 0.1, high: 0.15 } },
        { low: 0.8, high: 1, n: 1, bias: -0.5 },
      ],
    },
    {
      task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
      n: 40,
      cut: 10,
      valid: 1,
      metrics: { accuracy: 0.75 },
      intervals: {},
      constant: { accuracy: 0.5 },
      vader: {},
      confusions: [{ labels: ['bad', 'good'], counts: [35, 5, 0, 0] }],
      otherwise: [{ kind: 'wording', n: 40, valid: 1, metrics: { macroF1: 0.5 }, usual: { macroF1: 0.75 } }],
      clusters: [
        {
          direction: 'bad → good',
          cues: ['sick', 'emoji'],
          n: 4,
          of: 5,
          pValue: 0.01,
          confidence: 0.875,
          examples: [
            {
              task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
              id: 'c1',
              text: 'So sick.',
              gold: 'bad',
              answer: 'good',
              error: 1,
              confidence: 0.875,
              cues: ['sick'],
            },
          ],
        },
      ],
      labels: [
        { label: 'bad', gold: 40, answered: 35, right: 35, precision: 1, recall: 0.875, f1: 0.9333 },
        { label: 'good', gold: 30, answered: 5, right: 0, precision: 0, recall: 0, f1: 0 },
      ].map((row) => ({ ...row, labelSet: ['bad', 'good'] })),
    },
  ],
  slices: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      slice: 'negation',
      n: 12,
      metrics: { rmse: 0.5 },
      error: 0.25,
      rest: 0.0625,
      pValue: 0.01,
      pAdjusted: 0.02,
    },
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      slice: 'source mine',
      n: 120,
      metrics: { coverage: 0.81 },
      raw: { coverage: 0.5 },
      error: 0.0625,
    },
    ...[
      ['en', 90, 0.75],
      ['fi', 30, 0.25],
    ].map(([language, n, pearson]) => ({
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      slice: `language ${language}`,
      n,
      metrics: { pearson, rmse: 0.125 },
    })),
  ],
  stages: [
    { stage: 1, objectives: { 'sentiment-classification': 2 } },
    {
      stage: 2,
      objectives: { 'sentiment-classification': 2.5 },
      forgotten: { 'sentiment-classification': 0.5 },
    },
  ],
  warnings: ['the model saw no text in fi (30 of 120 rows): it was trained on en'],
  hardest: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      id: 'r1',
      text: 'Oh, great.',
      gold: '0.1',
      answer: '0.9',
      error: 0.8,
      confidence: 0.75,
      cues: ['great'],
    },
  ],
  checks: [
    {
      capability: 'negation',
      n: 4,
      passed: 3,
      shift: -0.25,
      size: 0.25,
      failures: [
        { text: 'It is fine.', changed: 'It is not fine.', expected: 'lower', answer: 'positive → positive' },
      ],
    },
  ],
  prefix: 'evaluations/e1',
  artifacts: [
    { path: 'report.html', bytes: 15, sha256: sha256('<h1>report</h1>'), name: 'evaluations/e1/report.html' },
  ],
} as unknown as evaluation.Evaluation;

@Controller()
@evaluation.EvaluationServiceControllerMethods()
export class Evaluations implements evaluation.EvaluationServiceController {
  evaluate(request: evaluation.EvaluateRequest): evaluation.Evaluation {
    const { model: name } = note('evaluate', request);
    if (name === 'missing') throw new NotFound('expected a model, got "missing"');
    return { ...evaluated, id: name === 'weak' ? 'e2' : 'e1', state: BUILD_STATE_BUILDING };
  }
  watchEvaluation(
    { id }: evaluation.WatchEvaluationRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<evaluation.Evaluation> {
    return streamOf(call!, async function* () {
      const progress = { phase: 'asking', done: 10, total: 160, unit: 'examples' };
      yield { ...evaluated, id, tasks: [], state: BUILD_STATE_BUILDING, progress };
      yield id === 'e2'
        ? { ...evaluated, id, tasks: [], state: BUILD_STATE_FAILED, failure: 'its files are gone' }
        : { ...evaluated, id, state: BUILD_STATE_READY };
    });
  }
  getEvaluation(): never {
    return unused();
  }
  listEvaluations(): evaluation.ListEvaluationsResponse {
    const waiting = { ...evaluated, id: 'e3', state: BUILD_STATE_BUILDING, upload: 'c'.repeat(64) };
    return {
      evaluations: [{ ...evaluated, id: 'e1', state: BUILD_STATE_READY }, waiting],
      nextPageToken: '',
    };
  }
  deleteEvaluation(request: evaluation.DeleteEvaluationRequest): evaluation.DeleteEvaluationResponse {
    note('deleteEvaluation', request);
    return {};
  }
  compareEvaluations(request: evaluation.CompareEvaluationsRequest): evaluation.Comparison {
    const { first, second } = note('compareEvaluations', request);
    const [task, other] = [common.Task.TASK_SENTIMENT_REGRESSION, common.Task.TASK_EMOTION_CLASSIFICATION];
    const shared = { n: 120, firstBetter: true };
    return {
      first: `${first}-1`,
      second: `${second}-2`,
      tasks: [
        { ...shared, task, metric: 'rmse', first: 0.25, second: 0.5, pValue: 0.01, pAdjusted: 0.02 },
        { ...shared, task: other, metric: 'jaccard', first: 0.5, second: 0.25, pValue: 0.5, pAdjusted: 0.5 },
      ],
    };
  }
}
