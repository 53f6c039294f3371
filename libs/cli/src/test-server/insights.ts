import { NotFound } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { Controller } from '@nestjs/common';
import { won } from './experiments.js';

@Controller()
@tuning.InsightServiceControllerMethods()
export class Insights implements tuning.InsightServiceController {
  getInsight({ experiment }: tuning.GetInsightRequest): tuning.Insight {
    if (experiment === 'missing') throw new NotFound('expected an experiment, got "missing"');
    const learningRate = { parameter: 'learningRate', log: true };
    return {
      experiment,
      importance: [{ parameter: 'learningRate', fanova: 0.75, permutation: 0.8, trials: 12 }],
      importanceMissing: '',
      interactions: [{ first: 'learningRate', second: 'replay', fanova: 0.05 }],
      dependence: [
        {
          ...learningRate,
          points: [
            { value: 0.01, mean: 4, standardDeviation: 0.1 },
            { value: 0.001, mean: 2, standardDeviation: 0.1 },
          ],
        },
      ],
      history: [{ trial: 0, objective: 2.5, best: 2.5 }],
      slices: [{ ...learningRate, points: [{ trial: 0, value: 0.001, objective: 2.5 }] }],
      parallelCoordinates: {
        axes: ['learningRate'],
        lines: [{ trial: 0, objective: 2.5, places: [{ place: 0 }] }],
      },
      front: {
        objectives: ['joy'],
        points: [{ trial: 0, values: [2.5], optimal: true }],
        hypervolume: 0.25,
        reference: [2.75],
      },
      best: { best: 0, runnerUp: 1, difference: 0.5, shared: 4, p: 0.0625, over: 'folds' },
    };
  }
  explainTrial({ experiment, number }: tuning.ExplainTrialRequest): tuning.TrialExplanation {
    if (number > 1) throw new NotFound(`expected a trial of ${experiment}, got number ${number}`);
    return {
      trial: won,
      suggestion: {
        source: tuning.SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
        reason: 'tpe: from trials known then',
        measured: 12,
        infeasible: 1,
        running: 2,
        bestTrial: 3,
        reproduced: true,
        evidence: [
          {
            parameter: 'learningRate',
            value: 0.001,
            bestValue: 0.002,
            logRatio: Math.log(3),
          },
        ],
      },
      end: {
        reason: 'it ended: succeeded',
        rank: 1,
        measured: 13,
        behind: 0,
        attempts: [
          { attempt: 1, outcome: 'lost', reason: 'LostLease: silent' },
          { attempt: 2, outcome: 'succeeded', reason: '' },
        ],
      },
    };
  }
}
