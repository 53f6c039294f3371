/** The search algorithms: what a suggestion costs, and how near the optimum of known functions they come. */
import { parseSearchSpace, suggest, type TrialRecord } from '@emotune/search';
import { branin, hartmann6, pointOf, type TestFunction } from './test-functions.js';
import { median, pause, secondsOf } from './timing.js';

const algorithms = ['tpe', 'random'] as const;
type Algorithm = (typeof algorithms)[number];

export interface SearchWorkload {
  /** Of each search for an optimum. */
  readonly trials: number;
  /** Searches for each optimum. */
  readonly seeds: number;
  readonly signal: AbortSignal;
}

interface SuggestionFigures {
  readonly algorithm: Algorithm;
  /** In the history. */
  readonly trials: number;
  /** Median. */
  readonly millisecondsPerSuggestion: number;
}

interface OptimumFigures {
  readonly function: string;
  readonly minimum: number;
  readonly algorithm: Algorithm;
  /** Median over the seeds of the lowest value found. */
  readonly best: number;
  /** Median of how far that is above the minimum. */
  readonly regret: number;
}

export interface SearchFigures {
  readonly trials: number;
  readonly seeds: number;
  readonly suggestions: readonly SuggestionFigures[];
  readonly optima: readonly OptimumFigures[];
}

const suggestions = 20;
/** Trials that a suggestion is made from. */
const histories = [50, 200, 1000];

const adapted = { parameter: 'method', values: ['lora'] };

/** As of a fine-tuning experiment. */
const mixedSpace = parseSearchSpace([
  { name: 'architecture', categorical: { values: ['opt', 'bloom', 'llama'] } },
  { name: 'method', categorical: { values: ['full', 'lora'] } },
  { name: 'rank', integer: { min: 1, max: 64, log: true }, condition: adapted },
  { name: 'alpha', double: { min: 0.5, max: 4, step: 0.5 }, condition: adapted },
  { name: 'learningRate', double: { min: 1e-5, max: 1e-2, log: true } },
  { name: 'weightDecay', double: { min: 0, max: 0.1 } },
  { name: 'warmupRatio', double: { min: 0, max: 0.2, step: 0.02 } },
  { name: 'batchTokens', categorical: { values: [1024, 2048, 4096] } },
]);

function history(count: number): TrialRecord[] {
  return Array.from({ length: count }, (_, number) => {
    const parameters = suggest({ name: 'random' }, mixedSpace, [], { seed: 1, trialNumber: number });
    const objective =
      (Math.log10(parameters['learningRate'] as number) + 3) ** 2 + (parameters['method'] === 'full' ? 1 : 0);
    return { number, state: 'succeeded', parameters, objective };
  });
}

async function suggestionSeconds(name: Algorithm, trials: number, signal: AbortSignal): Promise<number> {
  const known = history(trials);
  const seconds: number[] = [];
  for (let i = 0; i <= suggestions; i++) {
    await pause(signal);
    const context = { seed: 1, trialNumber: trials + i };
    seconds.push(await secondsOf(() => suggest({ name }, mixedSpace, known, context)));
  }
  return median(seconds.slice(1));
}

/** The lowest value that a search finds. */
function lowest(name: Algorithm, f: TestFunction, trials: number, seed: number): number {
  const space = parseSearchSpace(f.domain.map((range, i) => ({ name: `x${i + 1}`, double: range })));
  const known: TrialRecord[] = [];
  for (let number = 0; number < trials; number++) {
    const parameters = suggest({ name }, space, known, { seed, trialNumber: number });
    known.push({ number, state: 'succeeded', parameters, objective: f.valueOf(pointOf(f, parameters)) });
  }
  return known.reduce((best, { objective }) => Math.min(best, objective as number), Number.POSITIVE_INFINITY);
}

export async function benchSearch({ trials, seeds, signal }: SearchWorkload): Promise<SearchFigures> {
  const costs: SuggestionFigures[] = [];
  for (const count of histories)
    for (const algorithm of algorithms)
      costs.push({
        algorithm,
        trials: count,
        millisecondsPerSuggestion: 1000 * (await suggestionSeconds(algorithm, count, signal)),
      });
  const optima: OptimumFigures[] = [];
  for (const f of [branin, hartmann6])
    for (const algorithm of algorithms) {
      const found: number[] = [];
      while (found.length < seeds) {
        await pause(signal);
        found.push(lowest(algorithm, f, trials, found.length));
      }
      const best = median(found);
      optima.push({ function: f.name, minimum: f.minimum, algorithm, best, regret: best - f.minimum });
    }
  return { trials, seeds, suggestions: costs, optima };
}
