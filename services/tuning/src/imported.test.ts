import { InvalidArgument } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { lessonOf, type TrialRecord } from '@emotune/search';
import { describe, expect, it } from 'vitest';
import { fittedStudy, importedStudy, wholeStudy } from './imported.js';
import { planOf } from './spec.js';
import { experimentSpec } from './testing.js';

const { Goal, TrialState } = tuning;
const plan = planOf(experimentSpec());

function studied(value: number | undefined, changes: Partial<tuning.StudyTrial> = {}): tuning.StudyTrial {
  return {
    number: 0,
    parameters: { learningRate: 1e-3 },
    state: TrialState.TRIAL_STATE_SUCCEEDED,
    objectives: [{ value }],
    last: undefined,
    ...changes,
  };
}

function request(
  trials: tuning.StudyTrial[],
  changes: Partial<tuning.ImportStudyRequest> = {},
): tuning.ImportStudyRequest {
  return {
    experiment: 'run',
    study: { name: 'elsewhere', goals: [Goal.GOAL_MINIMIZE], trials },
    objective: 0,
    goal: Goal.GOAL_UNSPECIFIED,
    fixed: {},
    best: 1,
    teach: true,
    failuresTeach: true,
    requestId: '',
    ...changes,
  };
}

const imported = async (asked: tuning.ImportStudyRequest, known: readonly TrialRecord[] = []) =>
  importedStudy(await fittedStudy(plan, asked), asked, known);

it('lessons are older than what is known, and what cannot be compared is infeasible', async () => {
  const { lessons: first } = await imported(request([studied(2), studied(0)]));
  expect(first.map(({ number, objective }) => [number, objective])).toEqual([
    [-2, 2],
    [-1, 0],
  ]);
  const failed = studied(undefined, { state: TrialState.TRIAL_STATE_FAILED });
  const { lessons: second } = await imported(request([failed, studied(Number.NaN)]), first);
  expect(second).toMatchObject([
    { number: -4, reason: 'Failed: in elsewhere' },
    { number: -3, reason: 'Diverged: the objective was NaN' },
  ]);
  for (const { objective } of second) expect(objective).toBeUndefined();
  expect([...first, ...second].map(lessonOf)).toEqual(['measured', 'measured', 'infeasible', 'infeasible']);
});

it('the best of what fits are to be tried, and what does not fit is told', async () => {
  const rate = (number: number) => ({ learningRate: number });
  const trials = [
    studied(3, { parameters: rate(1e-4), last: { step: 9, value: 4 } }),
    studied(5, { number: 1, parameters: rate(2e-4) }),
    studied(9, { number: 2, parameters: rate(7) }),
    studied(4, { number: 3, parameters: { learningRate: null } }),
    studied(undefined, { number: 4 }),
    studied(undefined, { number: 5, last: { step: 2, value: 8 }, parameters: { ...rate(3e-4), rate: null } }),
    studied(1, { number: 6, state: TrialState.TRIAL_STATE_RUNNING }),
  ];
  const found = await imported(request(trials, { best: 2, teach: false }));
  expect(found).toMatchObject({ fitting: 3, lessons: [] });
  expect(found.best).toEqual([{ learningRate: 1e-4 }, { learningRate: 2e-4 }]);
  expect(found.misfits).toEqual([
    ...[
      ['learningRate', '7 is outside of its range', true, 2],
      ['learningRate', 'null is outside of its range', true, 3],
      ['objective', 'not measured', true, 4],
      ['rate', 'not in the space', false, 5],
      ['state', 'running, so nothing is known of it', true, 6],
    ].map(([name, problem, leftOut, example]) => ({ name, problem, leftOut, trials: 1, example })),
  ]);
  const most = request(trials, { best: 1 });
  most.study!.goals = [Goal.GOAL_UNSPECIFIED];
  await expect(imported(most)).rejects.toThrow('direction: expected minimize or maximize');
  most.goal = Goal.GOAL_MAXIMIZE;
  expect((await imported(most)).best).toEqual([{ learningRate: 3e-4 }]);
});

it('are refused whole, with every violation', async () => {
  const unknown = [studied(1), studied(1, { state: TrialState.TRIAL_STATE_UNSPECIFIED })];
  const thrown = await imported(request(unknown, { objective: -1, best: -1 })).catch((error) => error);
  expect(thrown).toBeInstanceOf(InvalidArgument);
  expect((thrown as InvalidArgument).violations.map(({ field }) => field)).toEqual([
    'objective',
    'best',
    'study.trials[1].state',
  ]);
  await expect(imported(request(new Array(10_001).fill(studied(1))))).rejects.toThrow(
    'expected at most 10000 beside the 0 known, got 10001',
  );
});

it('a long one is fitted as a short one is', async () => {
  const trials = Array.from({ length: 4500 }, (_, number) =>
    studied(number, { number, parameters: { learningRate: number % 2 === 0 ? 1e-3 : 7 } }),
  );
  const { fitting, lessons, misfits } = await imported(request(trials));
  expect([fitting, lessons[0].number, lessons.at(-1)]).toMatchObject([
    2250,
    -2250,
    { number: -1, objective: 4498 },
  ]);
  expect(misfits).toMatchObject([{ name: 'learningRate', trials: 2250, example: 1 }]);
});

describe('a study in pieces', () => {
  const { signal } = new AbortController();
  const further = (trials: tuning.StudyTrial[], changes: Partial<tuning.ImportStudyRequest> = {}) =>
    request(trials, {
      ...{
        experiment: '',
        study: { name: '', goals: [], trials },
        best: 0,
        teach: false,
        failuresTeach: false,
      },
      ...changes,
    });
  async function* sent(...pieces: tuning.ImportStudyRequest[]) {
    yield* pieces;
  }

  it('is what the first says, with the trials of all', async () => {
    const all = [studied(1), studied(2), studied(3)];
    const whole = await wholeStudy(sent(request(all.slice(0, 1)), further(all.slice(1))), signal);
    expect(whole).toEqual(await wholeStudy(sent(request(all)), signal));
    expect(whole.request).toEqual(request(all));
    expect((await wholeStudy(sent(request(all.slice(1))), signal)).sha256).not.toBe(whole.sha256);
  });

  it('is refused where a later one says anything else, where it is too long, and where there is none', async () => {
    const first = request([studied(1)]);
    const other = further([], { experiment: 'other', fixed: { method: 'full' }, best: 2 });
    await expect(wholeStudy(sent(first, other), signal)).rejects.toMatchObject({
      violations: [{ field: 'experiment' }, { field: 'fixed' }, { field: 'best' }],
    });
    const many = further(Array.from({ length: 10_000 }, () => studied(1)));
    await expect(wholeStudy(sent(first, many, many), signal)).rejects.toThrow('at most 20000');
    await expect(wholeStudy(sent(), signal)).rejects.toThrow('study: expected a study, got nothing');
  });

  it('counts for nothing where its sender leaves before the last', async () => {
    const left = new AbortController();
    async function* broken() {
      yield request([studied(1)]);
      left.abort(new Error('left'));
    }
    await expect(wholeStudy(broken(), left.signal)).rejects.toThrow('left');
  });
});
