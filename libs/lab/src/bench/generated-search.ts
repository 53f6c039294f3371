/** Search algorithms on random problems, beside what a peer reached on the same ones. */
import { InvalidArgument, parse } from '@emotune/base';
import type { TrialRecord } from '@emotune/search';
import { z } from 'zod';
import { type GeneratedProblem, problemOf } from './generated-problems.js';
import { generatedProblem } from './random-problems.js';
import { search } from './search.js';
import { median, pause } from './timing.js';

export interface GeneratedWorkload {
  /** Problems, those of the seeds `seed`, `seed` + 1, …. */
  readonly generated: number;
  readonly seed: number;
  /** Searches on each problem. */
  readonly seeds: number;
  /** Trials of each search. */
  readonly trials: number;
  /** Trials that are suggested before any of them is told. */
  readonly parallel: number;
  readonly algorithms: readonly string[];
  /** What `test/peers/optuna_search.py` wrote, as text. */
  readonly peer?: string | undefined;
  readonly signal: AbortSignal;
}

/** How an algorithm stands against a rival over all problems that both have searched. */
interface Comparison {
  readonly algorithm: string;
  readonly rival: string;
  readonly trials: number;
  readonly problems: number;
  /** Shares of the problems on which its median regret is lower, and the same. */
  readonly won: number;
  readonly drawn: number;
  /** Of its median regret over the rival's: geometric mean over the problems, and the largest. */
  readonly ratio: number;
  readonly worstRatio: number;
  readonly worstProblem: number;
}

interface ProblemFigures {
  readonly problem: number;
  readonly algorithm: string;
  readonly trials: number;
  /** Median over the searches of the value of the trial that measured best, without noise. */
  readonly regret: number;
}

export interface GeneratedFigures {
  readonly peer?: string;
  readonly seed: number;
  readonly generated: number;
  readonly seeds: number;
  readonly trials: number;
  readonly parallel: number;
  readonly comparisons: readonly Comparison[];
  readonly problems: readonly ProblemFigures[];
}

/** Regrets below count as this: a millionth of the median of random values. */
const leastRegret = 1e-6;
/** Of searches in which no trial worked. */
const mostRegret = 10;

const peerResults = z.object({
  peer: z.string(),
  runs: z.array(
    z.object({
      problem: z.number(),
      sampler: z.string(),
      seed: z.number(),
      trials: z.number(),
      parallel: z.number(),
      /** [trials, regret] from there on. */
      improvements: z.array(z.tuple([z.number(), z.number()])),
    }),
  ),
});

type PeerRun = z.output<typeof peerResults>['runs'][number];

export function generatedProblems(count: number, seed: number): GeneratedProblem[] {
  return Array.from({ length: count }, (_, i) => generatedProblem(seed + i));
}

function bounded(regret: number): number {
  return Math.min(mostRegret, Math.max(leastRegret, regret));
}

/** After a quarter of the trials and after all. */
const checkpointsOf = (trials: number) => [...new Set([Math.ceil(trials / 4), trials])];

/** The value without noise of the trial that measured best of the first `count`. */
function regretAfter(
  known: readonly TrialRecord[],
  count: number,
  trueValue: (record: TrialRecord) => number,
): number {
  let best: TrialRecord | undefined;
  for (const record of known.slice(0, count))
    if (record.objective !== undefined && record.objective < (best?.objective ?? Infinity)) best = record;
  return bounded(best ? trueValue(best) : mostRegret);
}

function peerRegretAfter({ improvements }: PeerRun, count: number): number {
  const last = improvements.findLast(([trials]) => trials <= count);
  return bounded(last ? last[1] : mostRegret);
}

function comparisonOf(
  algorithm: string,
  rival: string,
  trials: number,
  pairs: readonly { readonly problem: number; readonly own: number; readonly other: number }[],
): Comparison {
  const worst = pairs.reduce((a, b) => (b.own / b.other > a.own / a.other ? b : a));
  const share = (holds: (own: number, other: number) => boolean) =>
    pairs.filter(({ own, other }) => holds(own, other)).length / pairs.length;
  return {
    algorithm,
    rival,
    trials,
    problems: pairs.length,
    won: share((own, other) => own < other),
    drawn: share((own, other) => own === other),
    ratio: Math.exp(pairs.reduce((sum, { own, other }) => sum + Math.log(own / other), 0) / pairs.length),
    worstRatio: worst.own / worst.other,
    worstProblem: worst.problem,
  };
}

/** @throws InvalidArgument when the peer's results are not what its script writes, or none is of these searches. */
export async function benchGenerated(workload: GeneratedWorkload): Promise<GeneratedFigures> {
  const { generated, seed, seeds, trials, parallel, algorithms, signal } = workload;
  const checkpoints = checkpointsOf(trials);
  const peer =
    workload.peer === undefined ? undefined : parse(peerResults, JSON.parse(workload.peer), ['peer']);
  const problems: ProblemFigures[] = [];
  for (const source of generatedProblems(generated, seed)) {
    const problem = problemOf(source);
    for (const algorithm of algorithms) {
      const searches: TrialRecord[][] = [];
      for (let i = 0; i < seeds; i++) {
        await pause(signal);
        searches.push(search(algorithm, problem, trials, parallel, i));
      }
      const trueValue = ({ parameters }: TrialRecord) => problem.valueOf(parameters);
      for (const count of checkpoints) {
        const regret = median(searches.map((known) => regretAfter(known, count, trueValue)));
        problems.push({ problem: source.seed, algorithm, trials: count, regret });
      }
    }
    const runs = (peer?.runs ?? []).filter(
      (run) => run.problem === source.seed && run.trials >= trials && run.parallel === parallel,
    );
    for (const sampler of new Set(runs.map((run) => run.sampler)))
      for (const count of checkpoints)
        problems.push({
          problem: source.seed,
          algorithm: `${peer?.peer}: ${sampler}`,
          trials: count,
          regret: median(
            runs.filter((run) => run.sampler === sampler).map((run) => peerRegretAfter(run, count)),
          ),
        });
  }
  const rivals = [...new Set(problems.map(({ algorithm }) => algorithm))].filter(
    (name) => !algorithms.includes(name),
  );
  if (peer && rivals.length === 0)
    throw InvalidArgument.at(
      'peer',
      `expected searches of ${trials} trials or more, ${parallel} at a time, on the problems of the seeds ${seed} to ${seed + generated - 1}, got none`,
    );
  const regretOf = new Map(
    problems.map((p) => [JSON.stringify([p.problem, p.algorithm, p.trials]), p.regret]),
  );
  const best = `${peer?.peer}: the best`;
  const comparisons = checkpoints.flatMap((count) =>
    algorithms.flatMap((algorithm) =>
      [...rivals, ...(rivals.length > 1 ? [best] : [])].flatMap((rival) => {
        const pairs = Array.from({ length: generated }, (_, i) => seed + i).flatMap((problem) => {
          const of = (name: string) => regretOf.get(JSON.stringify([problem, name, count]));
          const others = (rival === best ? rivals : [rival]).map(of);
          return others.includes(undefined)
            ? []
            : [{ problem, own: of(algorithm) as number, other: Math.min(...(others as number[])) }];
        });
        return pairs.length === 0 ? [] : [comparisonOf(algorithm, rival, count, pairs)];
      }),
    ),
  );
  return {
    ...(peer ? { peer: peer.peer } : {}),
    seed,
    generated,
    seeds,
    trials,
    parallel,
    comparisons,
    problems,
  };
}
