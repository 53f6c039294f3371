/** Training shared by processes: how much faster so many ranks are than one, each with the same threads. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { labelGold, tasks } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { sizeOf } from '@emotune/graph';
import { loadModel, methodSettings, trainableParameters } from '@emotune/models';
import { encodeShard, type FeatureRow } from '@emotune/records';
import { tune } from '@emotune/trainer';
import { parseSettings } from '@emotune/training';
import { withCheckpoint } from './model-folder.js';
import { median } from './timing.js';

export interface RanksWorkload {
  readonly folder: string;
  readonly method: 'full' | 'lora';
  /** Each is measured; the first is what the others are held against. */
  readonly ranks: readonly number[];
  /** Rows of a micro-batch, of which each step has as many as the most ranks. */
  readonly batch: number;
  readonly sequence: number;
  /** Of each rank. */
  readonly threads: number;
  /** That are counted. */
  readonly steps: number;
  readonly signal: AbortSignal;
}

export interface RanksFigures extends Omit<RanksWorkload, 'folder' | 'signal' | 'ranks'> {
  readonly model: string;
  readonly microBatches: number;
  /** Bytes that each rank sends in a step of two ranks, at most: the gradient. */
  readonly gradientBytes: number;
  readonly runs: readonly {
    readonly ranks: number;
    readonly tokensPerSecond: number;
    /** Of the first one's rate times as many ranks. */
    readonly efficiency: number;
  }[];
}

/** Compilation, and runs in which the runtime finds out how much memory it needs. */
const uncounted = 2;

function rowsOf(count: number, sequence: number, vocabSize: number): FeatureRow[] {
  const rng = Rng.of('bench', 'ranks');
  return Array.from({ length: count }, (_, i) => ({
    ...{ id: `${i}`, task: tasks[0], source: 'bench', language: 'en', text: '', emotion: null, scale: null },
    ...{ labelSet: [], multiLabel: false, gold: labelGold([]), prompt: '', answer: '', decimals: 0 },
    tokens: Int32Array.from({ length: sequence }, () => rng.int(vocabSize)),
    answerStart: sequence - Math.min(8, sequence - 1),
  }));
}

export function benchRanks(workload: RanksWorkload): Promise<RanksFigures> {
  return withCheckpoint(workload.folder, async (folder) => {
    const { ranks, batch, sequence, threads, steps, method, signal } = workload;
    const { config } = await loadModel(folder, { inFiles: true });
    const microBatches = Math.max(...ranks);
    const features = await mkdtemp(join(tmpdir(), 'emotune-bench-'));
    const all = uncounted + steps;
    try {
      const rows = rowsOf(batch * microBatches * all, sequence, config.vocabSize);
      await writeFile(join(features, 'train-00000.arrow'), encodeShard(rows));
      const runs: { ranks: number; tokensPerSecond: number; efficiency: number }[] = [];
      for (const count of ranks) {
        signal.throwIfAborted();
        const ends: { seconds: number; tokens: number }[] = [];
        const settings = parseSettings({
          ...{ method, seed: 1, ranks: count, threads: count * threads, gradientAccumulation: microBatches },
          batchTokens: batch * 8 * Math.ceil(sequence / 8),
          tokens: batch * sequence * microBatches * all,
        });
        const request = {
          baseModel: folder,
          features,
          trainSplits: ['train'],
          validationSplit: '',
          settings,
        };
        await tune(request, {
          signal,
          onMeasurement: ({ seconds, tokens }) => {
            ends.push({ seconds, tokens });
            return 'continue';
          },
        });
        const rates = ends
          .slice(1)
          .map((end, i) => (end.tokens - ends[i].tokens) / (end.seconds - ends[i].seconds));
        const tokensPerSecond = median(rates.slice(uncounted - 1));
        const [first = { ranks: count, tokensPerSecond }] = runs;
        const efficiency = tokensPerSecond / ((first.tokensPerSecond * count) / first.ranks);
        runs.push({ ranks: count, tokensPerSecond, efficiency });
      }
      const trained = trainableParameters(
        config,
        methodSettings.parse({ name: method, ...(method === 'lora' ? { rank: 8, alpha: 16 } : {}) }),
      );
      return {
        ...{ model: basename(workload.folder), method, batch, sequence, threads, steps, microBatches },
        gradientBytes: 4 * trained.reduce((n, { shape }) => n + sizeOf(shape), 0),
        runs,
      };
    } finally {
      await rm(features, { recursive: true, force: true });
    }
  });
}
