/** The `emotune` command. */
import { InvalidArgument, NotFound, Unavailable } from '@emotune/base';
import { Interrupted } from '@emotune/training';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parityReport, tolerance } from './parity.js';
import { pretrainBaseModel } from './pretrain.js';

/** INTERFACES: 0 ok, 1 failed, 2 bad arguments or refused input, 3 not found, 4 unavailable; 75 as trainers, interrupted. */
function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return 75;
  if (error instanceof Unavailable) return 4;
  if (error instanceof InvalidArgument) return 2;
  return error instanceof NotFound ? 3 : 1;
}

const program = new Command('emotune')
  .description('Turns an open language model into an affective one.')
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program
  .command('parity')
  .description("compare models of ours with Hugging Face's results in fixture folders")
  .argument('<dir...>', 'folders with a checkpoint or adapter and case-*.safetensors')
  .action(async (dirs: string[]) => {
    process.stdout.write(
      `  ${'case'.padEnd(42)} ${['logits', 'loss', 'gradient', 'relative', 'adamw'].map((h) => h.padStart(8)).join(' ')}\n`,
    );
    let ok = true;
    for (const dir of dirs) {
      const report = await parityReport(dir);
      process.stdout.write(`${report.lines.join('\n')}\n`);
      ok &&= report.ok;
    }
    const { logits, loss, gradient, adamw } = tolerance;
    process.stdout.write(
      `tolerance: logits ${logits}, loss ${loss}, gradient ${gradient} relative, adamw losses ${adamw}\n`,
    );
    process.exitCode = ok ? 0 : 1;
  });

function positive(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('expected an integer of at least 1');
  return n;
}

program
  .command('pretrain')
  .description('make a small base model from openly licensed text; interrupt and repeat to resume')
  .addOption(
    new Option('--family <family>', 'model family').choices(['opt', 'bloom', 'llama']).makeOptionMandatory(),
  )
  .requiredOption('--out <dir>', 'folder to write, which must not exist')
  .option('--work <dir>', 'folder for tokenizer and checkpoints', '.emotune/pretrain')
  .option('--tokens <n>', 'tokens to train on', positive, 4_000_000)
  .option('--vocabulary <n>', 'entries of the tokenizer', positive, 8000)
  .option('--seed <n>', 'seed', positive, 1)
  .option('--threads <n>', 'threads', positive, 2)
  .option(
    '--corpora <dir>',
    'folder of corpora as published (default: EMOTUNE_CORPORA, else they are downloaded)',
  )
  .action(async ({ vocabulary, corpora, ...options }) => {
    const abort = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
    await pretrainBaseModel({
      ...options,
      vocabSize: vocabulary,
      text: {
        corporaDir: corpora ?? process.env['EMOTUNE_CORPORA'],
        cacheDir: '.emotune/corpora',
        download: true,
      },
      signal: abort.signal,
      log: (line) => process.stderr.write(`${line}\n`),
    });
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`emotune: ${(error as Error).message}\n`);
  process.exitCode = exitCodeOf(error);
}
