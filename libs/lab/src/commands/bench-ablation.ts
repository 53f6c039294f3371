import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import type { Io } from '@emotune/cli';
import { Stopped } from '@emotune/cli';
import { integerFrom, type Session, sessionOf } from '@emotune/cli/command';
import { type Command, Option } from 'commander';
import type { AblationOptions } from '../ablation/ablation.js';

type Options = Pick<
  AblationOptions,
  'seeds' | 'tokens' | 'trainRows' | 'method' | 'learningRate' | 'batchTokens' | 'threads' | 'runs'
> & {
  readonly testRows: number;
  readonly model?: string;
  readonly only?: readonly string[];
  readonly corpora?: string;
};

export function addAblationCommand(bench: Command, io: Io): void {
  bench
    .command('ablation')
    .description(
      'features of training turned on and off one by one, on one split and budget; interrupt and repeat to resume',
    )
    .option('--model <dir>', 'checkpoint folder (default: emotune-llama-4m)')
    .option('--runs <file>', 'where runs are kept, one line of JSON each', 'ablation.jsonl')
    .option('--seeds <n>', 'runs of each variant', integerFrom(1), 3)
    .option('--only <feature...>', 'features by their names (default: all)')
    .option('--tokens <n>', 'of one run', integerFrom(1000), 150_000)
    .option('--train-rows <n>', 'of each subtask', integerFrom(10), 400)
    .option('--test-rows <n>', 'validation and test rows of each subtask', integerFrom(10), 600)
    .addOption(new Option('--method <method>', 'what is trained').choices(['full', 'lora']).default('full'))
    .option('--learning-rate <rate>', 'the peak of the schedule', Number, 5e-4)
    .option('--batch-tokens <n>', 'tokens of a batch', integerFrom(16), 1024)
    .option(
      '--corpora <dir>',
      'folder of corpora as published (default: EMOTUNE_CORPORA, else they are downloaded)',
    )
    .addOption(
      new Option('--threads <n>', 'threads of ONNX Runtime')
        .argParser(integerFrom(1))
        .default(availableParallelism()),
    )
    .action((options: Options, command) => ablate(sessionOf(io, command), options));
}

async function ablate(
  session: Session,
  { model, only = [], corpora, runs, testRows, ...options }: Options,
): Promise<void> {
  const { progress, signal, io } = session;
  if (!(options.learningRate > 0))
    throw InvalidArgument.at('--learning-rate', `expected a number above 0, got ${options.learningRate}`);
  const { benchAblation } = await import('../ablation/ablation.js');
  const { features } = await import('../ablation/features.js');
  const { ablationRows } = await import('../ablation/split.js');
  const { ablationText } = await import('../ablation/text.js');
  const { shippedModel } = await import('../bench/model-folder.js');
  const { Interrupted } = await import('@emotune/training');
  const names = features.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw InvalidArgument.at('--only', `expected some of ${names.join(', ')}, got ${unknown}`);
  const folder = corpora ?? (io.env['EMOTUNE_CORPORA'] || undefined);
  try {
    const figures = await benchAblation({
      ...options,
      only,
      model: model === undefined ? shippedModel : session.path(model),
      runs: session.path(runs),
      rows: await ablationRows(
        {
          corporaDir: folder && session.path(folder),
          cacheDir: join(session.dataDir, 'corpora'),
          download: true,
          signal,
        },
        testRows,
      ),
      signal,
      onRun: (variant, seed, done, total) =>
        progress.line(`run ${done + 1} of ${total}: ${variant}, seed ${seed}`),
      onProgress: (phase, done, total, unit) => progress.update(phase, done, total, unit),
    });
    progress.end();
    await session.answer(figures, () => ablationText(figures));
  } catch (error) {
    throw error instanceof Interrupted ? new Stopped(error.policy.exitCode, error.message) : error;
  } finally {
    progress.end();
  }
}
