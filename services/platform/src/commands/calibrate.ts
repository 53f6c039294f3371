import { type AddCommands, integerFrom, sessionOf } from '@emotune/cli/command';

const examples = `
Examples:
  emotune calibrate tuned --data .emotune/objects/features/reviews/0a1b2c3d4e5f/6a7b8c9d0e1f
  emotune calibrate tuned --data validation.parquet --base models/SmolLM2-135M-Instruct.gguf

Of features the validation rows are taken that no training sees; a Parquet file, a split of a data set, is taken whole, so it
must not be what the model was trained on, nor what it is to be tested on. Probabilities, thresholds, numbers and intervals are
fitted to what the model answers (docs/evaluation.md), and emotune.json in the folder is written anew. \`emotune model import\`
makes a version of it; \`emotune model export\` writes such a folder of a version that there is.`;

interface CalibrateOptions {
  readonly data: string;
  readonly base?: string;
  readonly threads: number;
}

export const addCalibrateCommand: AddCommands = (program, io) => {
  program
    .command('calibrate')
    .description(
      'fit how the answers of a model in a folder are calibrated, on rows that it was not trained on',
    )
    .argument('<model>', 'folder of a checkpoint or of a PEFT adapter, with its emotune.json')
    .requiredOption('--data <path>', 'folder of features, or a split of a data set as Parquet')
    .option('--base <path>', "an adapter's base model (default: what it names)")
    .option('--threads <n>', 'that compute', integerFrom(1), 1)
    .addHelpText('after', examples)
    .action(async (model: string, { data, base, threads }: CalibrateOptions, command) => {
      const session = sessionOf(io, command);
      const { recalibrate } = await import('@emotune/trainer');
      const calibrations = await recalibrate({
        model: session.path(model),
        base: base === undefined ? undefined : session.path(base),
        data: session.path(data),
        threads,
        signal: session.signal,
      });
      const kinds = calibrations.map(({ task, emotion, labelSet, n, numbers, labels }) => ({
        task,
        emotion,
        labels: labelSet,
        rows: n,
        fitted: numbers !== null || labels !== null,
      }));
      await session.answer({ model: session.path(model), kinds }, () =>
        kinds
          .map(({ task, emotion, labels, rows, fitted }) => {
            const asked = [task, emotion, labels.join(', ')].filter(Boolean).join(', ');
            return `${asked}: ${fitted ? `calibrated on ${rows} rows` : `not calibrated, ${rows} rows are too few`}`;
          })
          .join('\n'),
      );
    });
};
