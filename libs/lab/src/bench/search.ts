/** The search algorithms: what a suggestion costs, and how near the optimum of known functions they come. */
import { show, Violations } from '@emotune/base';
import { suggest, type TrialRecord } from '@emotune/search';
import { llm7, type Problem, type ProblemFamily, problemFamilies } from './test-functions.js';
import { median, pause, quantile, secondsOf } from './timing.js';

export interface SearchWorkload {
  /** Trials of each search for an optimum. */
  readonly trials: number;
  /** Searches for each optimum. */
  readonly seeds: number;
  /** Each `NAME` or `NAME:SETTING=VALUE:…`. */
  readonly algorithms: readonly string[];
  /** Names of the functions, or the first letters of them; none for all. */
  readonly functions: readonly string[];
  /** Trials that are suggested before any of them is told. */
  readonly parallel: number;
  /** Lengths of the histories that suggestions are timed on. */
  readonly histories: readonly number[];
  readonly signal: AbortSignal;
}

interface SuggestionFigures {
  readonly algorithm: string;
  /** In the history. */
  readonly trials: number;
  /** Median. */
  readonly millisecondsPerSuggestion: number;
}

interface OptimumFigures {
  readonly function: string;
  readonly algorithm: string;
  /** Medians over the seeds of how far the best value is above the minimum, after a quarter, half and all trials. */
  readonly regretAtQuarter: number;
  readonly regretAtHalf: number;
  readonly regret: number;
  /** Upper quartile, after all trials. */
  readonly regretUpperQuartile: number;
  /** Lowest median regret of Optuna's variants after as many trials; absent where it was not measured. */
  readonly optuna?: number;
  /** Mean share of the last three quarters of the trials that failed; absent where none can. */
  readonly failed?: number;
  /** Searches that ended with a wrong category, by parameter. */
  readonly wrong: Readonly<Record<string, number>>;
}

export interface SearchFigures {
  readonly trials: number;
  readonly seeds: number;
  readonly parallel: number;
  readonly suggestions: readonly SuggestionFigures[];
  readonly optima: readonly OptimumFigures[];
}

/** Timed ones, after as many that are not. */
const suggestions = 15;

function algorithmOf(text: string): { readonly name: string; readonly settings: Record<string, number> } {
  const [name, ...settings] = text.split(':');
  return {
    name,
    settings: Object.fromEntries(
      settings.map((entry) => entry.split('=')).map(([key, value]) => [key, Number(value)]),
    ),
  };
}

function history(problem: Problem, count: number): TrialRecord[] {
  return Array.from({ length: count }, (_, number) => {
    const parameters = suggest({ name: 'random' }, problem.space, [], { seed: 1, trialNumber: number });
    return { number, state: 'succeeded', parameters, objective: problem.valueOf(parameters) };
  });
}

/** Each on a history of its own of so many trials, as nothing that was fitted to another can serve it. */
async function suggestionSeconds(text: string, trials: number, signal: AbortSignal) {
  const problem = llm7.of(0);
  const { space } = problem;
  const all = history(problem, trials + 2 * suggestions);
  const algorithm = algorithmOf(text);
  const seconds: number[] = [];
  for (let i = 0; i < 2 * suggestions; i++) {
    await pause(signal);
    const known = all.slice(i, i + trials);
    const context = { seed: 1, trialNumber: trials + i };
    seconds.push(await secondsOf(() => suggest(algorithm, space, known, context)));
  }
  return median(seconds.slice(suggestions));
}

/** Trials of one search, in order. */
export function search(text: string, problem: Problem, trials: number, parallel: number, seed: number) {
  const algorithm = algorithmOf(text);
  const known: TrialRecord[] = [];
  while (known.length < trials) {
    const from = known.length;
    while (known.length < Math.min(trials, from + parallel)) {
      const number = known.length;
      const parameters = suggest(algorithm, problem.space, known, { seed, trialNumber: number });
      known.push({ number, state: 'running', parameters });
    }
    for (let i = from; i < known.length; i++) {
      const { number, parameters } = known[i];
      known[i] = problem.fails?.(parameters)
        ? { number, parameters, state: 'infeasible', reason: 'OutOfMemory: over the limit' }
        : {
            number,
            parameters,
            state: 'succeeded',
            objective: problem.measuredAt?.(parameters, seed, number) ?? problem.valueOf(parameters),
          };
    }
  }
  return known;
}

const objectiveOf = ({ objective }: TrialRecord) => objective ?? Infinity;

function bestOf(known: readonly TrialRecord[]): TrialRecord {
  return known.reduce((best, record) => (objectiveOf(record) < objectiveOf(best) ? record : best));
}

/** @throws InvalidArgument naming each beginning that no function has. */
function familiesOf(beginnings: readonly string[]): readonly ProblemFamily[] {
  const begins = ({ name }: ProblemFamily, beginning: string) =>
    name.toLowerCase().startsWith(beginning.toLowerCase());
  const violations = new Violations(
    beginnings.flatMap((beginning, i) =>
      problemFamilies.some((family) => begins(family, beginning))
        ? []
        : [
            {
              field: `functions[${i}]`,
              description: `expected the beginning of one of ${problemFamilies.map(({ name }) => `"${name}"`).join(', ')}, got ${show(beginning)}`,
            },
          ],
    ),
  );
  violations.throwIfAny();
  return beginnings.length === 0
    ? problemFamilies
    : problemFamilies.filter((family) => beginnings.some((beginning) => begins(family, beginning)));
}

/** Lowest of Optuna's median regrets after so many trials, one at a time. */
function optunaAfter({ optuna }: ProblemFamily, trials: number): number | undefined {
  const i = [50, 100, 200].indexOf(trials);
  const known = Object.values(optuna ?? {}).flatMap((regrets) => (i < 0 ? [] : [regrets[i]]));
  return known.length === 0 ? undefined : Math.min(...known);
}

export async function benchSearch(workload: SearchWorkload): Promise<SearchFigures> {
  const { trials, seeds, algorithms, parallel, signal } = workload;
  const wanted = familiesOf(workload.functions);
  const costs: SuggestionFigures[] = [];
  for (const count of workload.histories)
    for (const algorithm of algorithms)
      costs.push({
        algorithm,
        trials: count,
        millisecondsPerSuggestion: 1000 * (await suggestionSeconds(algorithm, count, signal)),
      });
  const optima: OptimumFigures[] = [];
  for (const family of wanted)
    for (const algorithm of algorithms) {
      const regrets: number[][] = [[], [], []];
      const wrong: Record<string, number> = {};
      let failed: number | undefined;
      for (let seed = 0; seed < seeds; seed++) {
        await pause(signal);
        const problem = family.of(seed);
        const known = search(algorithm, problem, trials, parallel, seed);
        [4, 2, 1].forEach((part, i) => {
          const best = bestOf(known.slice(0, Math.ceil(trials / part)));
          regrets[i].push(objectiveOf(best) - problem.minimum);
        });
        if (problem.fails) {
          const late = known.slice(Math.ceil(trials / 4));
          const share = late.filter(({ state }) => state === 'infeasible').length / late.length;
          failed = (failed ?? 0) + share / seeds;
        }
        const { parameters } = bestOf(known);
        for (const [key, value] of Object.entries(problem.categories ?? {}))
          wrong[key] = (wrong[key] ?? 0) + (parameters[key] === value ? 0 : 1);
      }
      const [quarter, half, all] = regrets;
      const optuna = optunaAfter(family, trials);
      optima.push({
        function: family.name,
        algorithm,
        regretAtQuarter: median(quarter),
        regretAtHalf: median(half),
        regret: median(all),
        regretUpperQuartile: quantile(all, 0.75),
        ...(optuna === undefined ? {} : { optuna }),
        ...(failed === undefined ? {} : { failed }),
        wrong,
      });
    }
  return { trials, seeds, parallel, suggestions: costs, optima };
}
