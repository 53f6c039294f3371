import { parse, Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EpochPlace } from './batches.js';
import { initialLossScale } from './loss-scale.js';
import type { Directive, Measurement } from './measurement.js';
import {
  begin,
  type Course,
  type Next,
  type Progress,
  progress,
  summaryOf,
  type TrainEvent,
  type Turn,
} from './progress.js';
import { fresh, goneOn, type RunState } from './run-state.js';
import { trainSpec } from './spec.js';

const batchTokens = 64;

interface Changes extends Partial<Omit<Course, 'spec'>> {
  readonly spec?: object;
}

function courseOf({ spec = {}, validates = true, checkpoints = true, longest = 1 }: Changes = {}): Course {
  return {
    spec: parse(trainSpec, {
      method: { name: 'full' },
      optimizer: { learningRate: 0.01 },
      stages: [
        { tasks: ['a'], tokens: 300 },
        { tasks: ['b', 'c'], tokens: 400 },
      ],
      batchTokens,
      validation: { everyTokens: 150 },
      checkpointSeconds: 30,
      seed: 1,
      ...spec,
    }),
    validates,
    checkpoints,
    longest,
  };
}

/** Tokens of each batch of an epoch: a function of its place, as batches are. */
function batchesAt({ stage, epoch, stageTokens }: EpochPlace): number[] {
  const rng = Rng.of('epoch', stage, epoch, stageTokens);
  return Array.from({ length: 1 + rng.int(6) }, () => 1 + rng.int(batchTokens));
}

type Stepped = TrainEvent & { type: 'stepped' };

/** What a step leaves, as far as it is told: a function of the step alone, but for its batches. */
function stepped(next: Next & { type: 'step' }, changes: Partial<Stepped> = {}): Stepped {
  const tokens = batchesAt(next.place).slice(next.from, next.from + next.count);
  return {
    type: 'stepped',
    loss: 1 / next.step,
    norm: next.step,
    tokens: tokens.reduce((a, b) => a + b, 0),
    examples: tokens.length,
    skipped: next.scale !== undefined && next.scale > 20_000,
    elapsedMs: 5,
    ...changes,
  };
}

const objectiveAt = (step: number) => 1 + Rng.of('objective', step).int(8);

/** The answer of a world in which nothing goes wrong. */
function answerTo({ next, run }: Progress): TrainEvent {
  switch (next.type) {
    case 'draw':
      return { type: 'drawn', tokens: batchesAt(next.place) };
    case 'step':
      return stepped(next);
    case 'validate': {
      const objective = objectiveAt(run.step);
      return { type: 'validated', objective, objectives: { a: objective, b: objective + 1 } };
    }
    case 'report':
      return { type: 'directed', directive: 'continue' };
    case 'checkpoint':
      return { type: 'checkpointed', tookMs: 1 };
    case 'end':
      throw new Error('nothing answers the end');
  }
}

const anew = (scaled = false) => fresh('run', scaled ? initialLossScale : null);

/** All turns of a run to its end, with `answer` in place of the usual answers. */
function turns(
  course: Course,
  run: RunState = anew(),
  answer: (state: Progress) => TrainEvent = answerTo,
  clock: () => number = () => 0,
): Turn[] {
  const all = [begin(course, run, clock())];
  for (;;) {
    const { state } = all[all.length - 1];
    if (state.next.type === 'end') return all;
    // Far beyond what 700 tokens could take.
    if (all.length > 20_000) throw new Error('it does not end');
    all.push(progress(course, state, answer(state), clock()));
  }
}
const types = (all: readonly Turn[]) => all.map(({ state }) => state.next.type);
const asked = <T extends Next['type']>(all: readonly Turn[], type: T) =>
  all.flatMap(({ state }) => (state.next.type === type ? [state.next as Next & { type: T }] : []));
const measurements = (all: readonly Turn[]): Measurement[] =>
  asked(all, 'report').map(({ measurement }) => measurement);
const lastOf = (all: readonly Turn[]): Progress => all[all.length - 1].state;
/** Which batches were trained on, at which rate, and as which step. */
const trainedOn = (all: readonly Turn[]) =>
  all.flatMap(({ state }) => (state.next.type === 'step' ? [state.next] : []));

describe('every event', () => {
  const events: { readonly [T in TrainEvent['type']]: TrainEvent & { type: T } } = {
    drawn: { type: 'drawn', tokens: [10, 10] },
    stepped: { type: 'stepped', loss: 1, norm: 1, tokens: 10, examples: 1, skipped: false, elapsedMs: 1 },
    validated: { type: 'validated', objective: 1, objectives: { a: 1 } },
    directed: { type: 'directed', directive: 'continue' },
    checkpointed: { type: 'checkpointed', tookMs: 1 },
    interrupted: { type: 'interrupted' },
  };
  const answers: { readonly [T in Next['type']]: readonly TrainEvent['type'][] } = {
    draw: ['drawn'],
    step: ['stepped', 'interrupted'],
    validate: ['validated', 'interrupted'],
    report: ['directed'],
    checkpoint: ['checkpointed'],
    end: [],
  };
  const phases = new Map<Next['type'], Progress>();
  for (const { state } of turns(courseOf({ spec: { checkpointSeconds: 1e-9 } }), anew(), answerTo, Date.now))
    phases.set(state.next.type, state);

  it('can come in every phase', () => {
    expect([...phases.keys()].sort()).toEqual(Object.keys(answers).sort());
  });

  it.each(
    Object.keys(answers).flatMap((phase) =>
      Object.keys(events).map((event) => [phase, event] as [Next['type'], TrainEvent['type']]),
    ),
  )('%s, then %s: answered or refused', (phase, event) => {
    const next = () => progress(courseOf(), phases.get(phase)!, events[event], 0);
    if (answers[phase].includes(event)) expect(next().state.next).toBeDefined();
    else expect(next).toThrow(`expected an answer to ${phase}, got ${event}`);
  });

  it('leaves the state before it as it was', () => {
    const freeze = (value: unknown): void => {
      if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
      Object.freeze(value);
      for (const each of Object.values(value)) freeze(each);
    };
    turns(courseOf(), anew(true), (state) => {
      freeze(state);
      return answerTo(state);
    });
  });
});

describe('a budget', () => {
  const lengths = [9, 17, 30, 64];
  /** Rows of each batch, and what of them fits, as `within` takes it. */
  const rowsAt = ({ stage, epoch, stageTokens }: EpochPlace): number[][] => {
    const rng = Rng.of('rows', stage, epoch, stageTokens);
    return Array.from({ length: 1 + rng.int(4) }, () =>
      Array.from({ length: 1 + rng.int(3) }, () => lengths[rng.int(lengths.length)]),
    );
  };
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const answer = (state: Progress): TrainEvent => {
    const { next } = state;
    if (next.type === 'draw') return { type: 'drawn', tokens: rowsAt(next.place).map(sum) };
    if (next.type !== 'step') return answerTo(state);
    const rows = rowsAt(next.place)
      .slice(next.from, next.from + next.count)
      .flat();
    let rest = next.most;
    const fitting = rows.filter((tokens) => {
      const fits = tokens <= rest;
      if (fits) rest -= tokens;
      return fits;
    });
    expect(fitting.length).toBeGreaterThan(0);
    return stepped(next, { tokens: sum(fitting), examples: fitting.length });
  };

  it('is kept by every stage to less than a row, whatever is accumulated and however large the batches are', () => {
    for (const gradientAccumulation of [1, 2, 5])
      for (const tokens of [64, 100, 301, 1000]) {
        const spec = {
          gradientAccumulation,
          stages: [
            { tasks: ['a'], tokens },
            { tasks: ['b', 'c'], tokens: 64 },
          ],
        };
        const all = turns(courseOf({ spec, longest: 64 }), anew(), answer);
        const { run } = lastOf(all);
        expect(run.tokens).toBeLessThanOrEqual(tokens + 64);
        expect(run.tokens).toBeGreaterThan(tokens + 64 - 2 * 64);
        expect(asked(all, 'validate').length).toBeGreaterThanOrEqual(2);
      }
  });

  it('that is used up is used up after a resume, too', () => {
    const course = courseOf({
      spec: { stages: [{ tasks: ['a'], tokens: 301 }], checkpointSeconds: 1e-9 },
      longest: 64,
    });
    const all = turns(course, anew(), answer, Date.now);
    for (const { state } of all.filter(({ state }) => state.next.type === 'checkpoint')) {
      const resumed = turns(course, state.run, answer);
      expect(lastOf(resumed).run.tokens).toBe(lastOf(all).run.tokens);
    }
  });
});

describe('batches', () => {
  it('come epoch by epoch and stage by stage, as many to a step as are accumulated', () => {
    const all = turns(courseOf({ spec: { gradientAccumulation: 2 } }));
    const places = new Map(asked(all, 'draw').map(({ place }) => [`${place.stage}.${place.epoch}`, place]));
    expect(places.size).toBe(asked(all, 'draw').length);
    expect([...places.keys()]).toEqual([...places.keys()].sort());
    for (const [key, place] of places) {
      const steps = asked(all, 'step').filter(({ place: p }) => `${p.stage}.${p.epoch}` === key);
      const trained = steps.flatMap(({ from, count }) => Array.from({ length: count }, (_, i) => from + i));
      expect(trained).toEqual(trained.map((_, i) => i));
      expect(steps.slice(0, -1).every(({ count }) => count === 2)).toBe(true);
      expect(trained.length).toBeLessThanOrEqual(batchesAt(place).length);
    }
  });

  it('of an epoch are drawn for the tokens of the stage before it', () => {
    let [stage, tokens] = [0, 0];
    for (const { state } of turns(courseOf())) {
      if (state.next.type === 'draw') {
        if (state.next.place.stage !== stage) [stage, tokens] = [state.next.place.stage, 0];
        expect(state.next.place.stageTokens).toBe(tokens);
      }
      if (state.next.type === 'step') tokens += batchesAt(state.next.place)[state.next.from];
    }
  });

  it('are trained on at the rate of the schedule, which another stage begins anew if it is asked to', () => {
    const schedule = { name: 'constant', warmupRatio: 0.5, rewarm: true };
    const steps = asked(turns(courseOf({ spec: { schedule } })), 'step');
    const [first, second] = [0, 1].map((stage) => steps.filter(({ place }) => place.stage === stage));
    for (const some of [first, second]) {
      expect(some[0].rate).toBe(0);
      expect(some.at(-1)!.rate).toBe(0.01);
    }
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1));
  });
});

describe('a measurement', () => {
  it('counts the tokens, rows and seconds of the steps so far, beside what the step was', () => {
    const all = turns(courseOf());
    let [tokens, examples, ms] = [0, 0, 0];
    const steps = asked(all, 'step');
    for (const [i, measurement] of measurements(all).entries()) {
      const done = stepped(steps[i]);
      tokens += done.tokens;
      examples += done.examples;
      ms += done.elapsedMs;
      expect(measurement).toMatchObject({
        step: i + 1,
        tokens,
        examples,
        totalTokens: 700,
        stage: steps[i].place.stage,
        trainLoss: done.loss,
        gradientNorm: done.norm,
        learningRate: steps[i].rate,
      });
      expect(measurement.seconds).toBeCloseTo(ms / 1000, 9);
    }
    const summary = summaryOf(courseOf(), lastOf(all));
    expect(summary).toMatchObject({ step: steps.length, tokens, examples, stopped: null });
    expect(summary.tokensPerSecond).toBeCloseTo((1000 * tokens) / ms, 6);
  });
});

describe('validation', () => {
  it('is due after so many tokens, and at the end of each stage', () => {
    const all = turns(courseOf());
    const validated = measurements(all).filter(({ objective }) => objective !== undefined);
    const ends = [0, 1].map(
      (stage) =>
        measurements(all)
          .filter((m) => m.stage === stage)
          .at(-1)!,
    );
    expect(validated).toEqual(expect.arrayContaining(ends));
    let last = 0;
    for (const { step, tokens, objective } of measurements(all)) {
      const due = tokens - last >= 150 || ends.some((end) => end.step === step);
      expect([step, objective !== undefined]).toEqual([step, due]);
      if (due) last = tokens;
    }
  });

  it('comes at the ends of stages alone where no tokens are between, and never without rows', () => {
    const seldom = { validation: { everyTokens: 0 } };
    expect(types(turns(courseOf({ spec: seldom }))).filter((type) => type === 'validate')).toHaveLength(2);
    const none = turns(courseOf({ validates: false }));
    expect(types(none)).not.toContain('validate');
    expect(summaryOf(courseOf({ validates: false }), lastOf(none))).toMatchObject({
      best: null,
      forgetting: null,
    });
  });

  it('keeps the weights of each best, and tells at the end of a later stage what is left of earlier ones', () => {
    const all = turns(courseOf());
    let least = Number.POSITIVE_INFINITY;
    for (const { state, asides } of all) {
      if (state.next.type !== 'report') continue;
      const { objective = Number.POSITIVE_INFINITY } = state.next.measurement;
      expect(asides).toEqual(objective < least ? [{ type: 'keep' }] : []);
      least = Math.min(least, objective);
    }
    const told = measurements(all).filter(({ forgetting }) => forgetting !== undefined);
    expect(told.map(({ step }) => step)).toEqual([measurements(all).at(-1)!.step]);
    expect(summaryOf(courseOf(), lastOf(all)).forgetting).toEqual(told[0].forgetting);
  });

  it('of a part of a run keeps nothing: its end is what counts', () => {
    const all = turns(courseOf({ spec: { until: 500 } }));
    expect(all.flatMap(({ asides }) => asides)).toEqual([]);
    const { best, tokens } = lastOf(all).run;
    expect(best).toMatchObject({ objective: objectiveAt(lastOf(all).run.step), tokens });
  });
});

describe('a directive', () => {
  const at =
    (step: number, directive: Directive) =>
    (state: Progress): TrainEvent =>
      state.next.type === 'report' && state.run.step === step
        ? { type: 'directed', directive }
        : answerTo(state);

  it('to stop ends the run with one checkpoint, after the step that it answers', () => {
    let now = 0;
    const due = () => (now += 10_000);
    for (const clock of [() => 0, due]) {
      const all = turns(courseOf(), anew(), at(3, 'stop'), clock);
      expect(types(all).slice(-3)).toEqual(['report', 'checkpoint', 'end']);
      expect(lastOf(all)).toMatchObject({
        run: { step: 3, stopped: 'directive' },
        next: { why: 'directive' },
      });
    }
  });

  it('to write a checkpoint is obeyed before the next step, where there is a place for it', () => {
    const all = turns(courseOf(), anew(), at(3, 'checkpoint'));
    expect(asked(all, 'checkpoint').map(({ reason }) => reason)).toEqual(['due', 'end']);
    expect(types(turns(courseOf({ checkpoints: false }), anew(), at(3, 'checkpoint')))).not.toContain(
      'checkpoint',
    );
  });
});

describe('a checkpoint', () => {
  it('is due so long after the one before was written, by the time that is passed in', () => {
    let [now, step] = [0, 0];
    const times: number[] = [];
    turns(
      courseOf(),
      anew(),
      (state) => {
        if (state.next.type === 'step') now = 10_000 * ++step;
        if (state.next.type === 'checkpoint') {
          times.push(now);
          now += 4000;
        }
        return answerTo(state);
      },
      () => now,
    );
    // The second is counted from 34 s, when the first was written.
    expect(times.slice(0, 2)).toEqual([30_000, 70_000]);
  });

  it('is written of a run that has ended already, which trains no more', () => {
    const { run } = lastOf(turns(courseOf()));
    expect(types(turns(courseOf(), run))).toEqual(['checkpoint', 'end']);
  });
});

describe('steps that are skipped', () => {
  it('halve the scale, count as steps, and not as updates of the weights', () => {
    const steps = asked(turns(courseOf(), anew(true)), 'step');
    expect(steps.slice(0, 4).map(({ scale }) => scale)).toEqual([65_536, 32_768, 16_384, 16_384]);
    expect(steps.slice(0, 4).map(({ update }) => update)).toEqual([1, 1, 1, 2]);
    expect(steps.slice(0, 4).map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  });
});

describe('the notice that an interruption takes long', () => {
  /** With six batches of 20 tokens in each epoch, and a checkpoint after each step. */
  const notices = (elapsedMs: (step: number) => number, tookMs = 1, spec: object = {}) =>
    turns(courseOf({ spec }), anew(), (state) => {
      const { next } = state;
      if (next.type === 'draw') return { type: 'drawn', tokens: [20, 20, 20, 20, 20, 20] };
      if (next.type === 'step')
        return stepped(next, { elapsedMs: elapsedMs(next.step), tokens: 20 * next.count });
      if (next.type === 'report') return { type: 'directed', directive: 'checkpoint' };
      return next.type === 'checkpoint' ? { type: 'checkpointed', tookMs } : answerTo(state);
    })
      .flatMap(({ asides }) => asides)
      .filter(({ type }) => type === 'notice');

  it('comes once, for a step with a checkpoint, but not for the first, which compiles', () => {
    expect(notices(() => 9000, 2000)).toEqual([
      { type: 'notice', text: expect.stringContaining('a micro-batch and a checkpoint take 11 s') },
    ]);
    expect(notices((step) => (step === 1 ? 60_000 : 10))).toEqual([]);
  });

  it('counts a micro-batch of several, after which an interruption is obeyed', () => {
    const slow = () => 12_000;
    expect(notices(slow)).toHaveLength(1);
    expect(notices(slow, 1, { gradientAccumulation: 3 })).toEqual([]);
  });
});

/** Runs in any course, with any objectives and directives, interrupted anywhere. */
const courses = fc
  .record({
    stages: fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 3 }),
    gradientAccumulation: fc.integer({ min: 1, max: 3 }),
    everyTokens: fc.integer({ min: 0, max: 200 }),
    patience: fc.integer({ min: 0, max: 4 }),
    until: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
    validates: fc.boolean(),
  })
  .map(({ stages, gradientAccumulation, everyTokens, patience, until, validates }) =>
    courseOf({
      spec: {
        stages: stages.map((tokens, i) => ({ tasks: ['abc'[i]], tokens })),
        validation: { everyTokens, patience },
        gradientAccumulation,
        ...(until === undefined ? {} : { until }),
      },
      validates,
    }),
  );

/** Answers, and moments, drawn from a seed. */
function randomly(seed: number) {
  const rng = Rng.of('events', seed);
  let now = 0;
  const directives: Directive[] = ['stop', 'checkpoint', 'checkpoint'];
  return {
    clock: () => {
      now += rng.int(9000);
      return now;
    },
    answer: (state: Progress): TrainEvent => {
      const { type } = state.next;
      if ((type === 'step' || type === 'validate') && rng.int(12) === 0) return { type: 'interrupted' };
      if (type === 'report' && rng.int(15) === 0)
        return { type: 'directed', directive: directives[rng.int(3)] };
      return answerTo(state);
    },
  };
}

describe('whatever happens', () => {
  it('a run keeps its rules', () => {
    fc.assert(
      fc.property(courses, fc.nat(), fc.boolean(), (course, seed, scaled) => {
        const { clock, answer } = randomly(seed);
        const all = turns(course, anew(scaled), answer, clock);
        const { stages, until, gradientAccumulation, validation } = course.spec;
        // A run ends once, having left a checkpoint of what it has.
        expect(types(all).filter((type) => type === 'end')).toHaveLength(1);
        expect(types(all).at(-2)).toBe('checkpoint');
        expect(all.at(-2)!.state.run).toEqual(lastOf(all).run);
        // Each stage, and the part, is passed by less than its last step.
        const step = gradientAccumulation * batchTokens;
        const ends = stages.reduce((n, { tokens }) => n + tokens + step, 0);
        expect(lastOf(all).run.tokens).toBeLessThan(Math.min(ends, (until ?? ends) + step));
        const places = trainedOn(all).map(({ place, from }) => [place.stage, place.epoch, from]);
        for (const [i, place] of places.slice(1).entries())
          expect(place.map((n, d) => Math.sign(n - places[i][d])).find((sign) => sign !== 0)).toBe(1);
        const seen = measurements(all).flatMap(({ objective }) =>
          objective === undefined ? [] : [objective],
        );
        const { best, stopped, misses } = lastOf(all).run;
        if (until === undefined)
          expect(best?.objective).toBe(seen.length > 0 ? Math.min(...seen) : undefined);
        if (stopped === 'patience') expect(misses).toBe(validation.patience);
        if (validation.patience > 0) expect(misses).toBeLessThanOrEqual(validation.patience);
        expect(measurements(all).map(({ step }) => step)).toEqual(measurements(all).map((_, i) => i + 1));
      }),
      { numRuns: 400 },
    );
  });

  it('runs out of patience after exactly as many misses in a row', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 30, maxLength: 30 }),
        fc.integer({ min: 1, max: 5 }),
        (objectives, patience) => {
          const course = courseOf({ spec: { validation: { everyTokens: 1, patience } } });
          const all = turns(course, anew(), (state) =>
            state.next.type === 'validate'
              ? { type: 'validated', objective: objectives[(state.run.step - 1) % 30], objectives: { a: 1 } }
              : answerTo(state),
          );
          let [misses, least] = [0, Number.POSITIVE_INFINITY];
          const seen = measurements(all).map(({ objective }) => objective!);
          for (const [i, objective] of seen.entries()) {
            misses = objective < least ? 0 : misses + 1;
            least = Math.min(least, objective);
            if (misses === patience) expect(i).toBe(seen.length - 1);
          }
          expect(lastOf(all).run.stopped).toBe(misses === patience ? 'patience' : null);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a run that was interrupted anywhere goes on with the same batches, rates and measurements', () => {
    fc.assert(
      fc.property(courses, fc.nat(), fc.boolean(), (course, seed, scaled) => {
        const straight = turns(course, anew(scaled));
        const rng = Rng.of('interruptions', seed);
        let state = anew(scaled);
        const parts: Turn[] = [];
        for (let attempt = 0; ; attempt++) {
          const part = turns(course, state, (at) =>
            attempt < 8 && (at.next.type === 'step' || at.next.type === 'validate') && rng.int(6) === 0
              ? { type: 'interrupted' }
              : answerTo(at),
          );
          // As it is read from its file.
          state = JSON.parse(JSON.stringify(lastOf(part).run));
          const [end] = asked(part, 'end');
          if (end.why !== 'interruption') {
            parts.push(...part);
            break;
          }
          // What was asked for before the checkpoint and the end was not done.
          parts.push(...part.slice(0, -3));
        }
        expect(trainedOn(parts)).toEqual(trainedOn(straight));
        expect(measurements(parts)).toEqual(measurements(straight));
        expect(state).toEqual(lastOf(straight).run);
      }),
      { numRuns: 300 },
    );
  });

  it('a run that was killed goes on from any of its checkpoints as it did', () => {
    fc.assert(
      fc.property(courses, fc.boolean(), (course, scaled) => {
        const all = turns(course, anew(scaled), (state) =>
          state.next.type === 'report' ? { type: 'directed', directive: 'checkpoint' } : answerTo(state),
        );
        for (const [i, { state }] of all.entries())
          if (state.next.type === 'checkpoint')
            expect(trainedOn(turns(course, state.run))).toEqual(trainedOn(all.slice(i)));
      }),
      { numRuns: 20 },
    );
  });

  it('parts that go on from each other take the batches of one run', () => {
    const ends = fc.uniqueArray(fc.integer({ min: 1, max: 699 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(ends, fc.integer({ min: 1, max: 3 }), (parts, gradientAccumulation) => {
        const whole = turns(courseOf({ spec: { gradientAccumulation } }));
        const trained: ReturnType<typeof trainedOn> = [];
        let [from, tokens] = [anew(), 0];
        for (const until of [...parts.sort((a, b) => a - b), 700]) {
          const part = turns(courseOf({ spec: { gradientAccumulation, until } }), from);
          trained.push(...trainedOn(part));
          for (const { totalTokens } of measurements(part)) expect(totalTokens).toBe(until - tokens);
          tokens += lastOf(part).run.tokens;
          expect(tokens).toBeGreaterThanOrEqual(until);
          // A part whose end the one before has passed trains nothing; others end with their last step.
          const last = asked(part, 'step').at(-1);
          if (last) expect(tokens - stepped(last).tokens).toBeLessThan(until);
          from = goneOn(lastOf(part).run, `until ${until}`);
        }
        expect(trained).toEqual(trainedOn(whole));
        expect(tokens).toBe(lastOf(whole).run.tokens);
      }),
      { numRuns: 100 },
    );
  });

  it('a run with batches of its own goes on at the batch that the tokens before it reach', () => {
    const state = {
      ...anew(),
      cursor: { stage: 1, epoch: 2, index: 7, stageTokens: 130, epochTokens: 100 },
    };
    const drawn: TrainEvent = { type: 'drawn', tokens: [20, 20, 20, 20] };
    const { state: next } = progress(courseOf(), begin(courseOf(), state, 0).state, drawn, 0);
    expect(next.next).toMatchObject({
      type: 'step',
      from: 2,
      place: { stage: 1, epoch: 2, stageTokens: 100 },
    });
  });
});
