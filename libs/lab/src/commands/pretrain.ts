import { join } from 'node:path';
import { Stopped } from '@emotune/cli';
import { type AddCommands, integerFrom, sessionOf } from '@emotune/cli/command';
import { Option } from 'commander';
import type { PretrainOptions } from '../pretrain.js';

interface GivenOptions
  extends Pick<
    PretrainOptions,
    'family' | 'out' | 'tokens' | 'affectTokens' | 'width' | 'layers' | 'seed' | 'threads'
  > {
  readonly vocabulary: number;
  readonly work?: string;
  readonly corpora?: string;
}

export const addPretrainCommand: AddCommands = (program, io) => {
  program
    .command('pretrain')
    .description(
      'make a small base model from openly licensed text and questions about it; interrupt and repeat to resume',
    )
    .addOption(
      new Option('--family <family>', 'model family')
        .choices(['opt', 'bloom', 'llama'])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <dir>', 'folder to write, which must not exist')
    .option('--work <dir>', 'folder for tokenizer and checkpoints (default: pretrain in the data folder)')
    .option('--tokens <n>', 'tokens of running text to train on first', integerFrom(0), 0)
    .option(
      '--affect-tokens <n>',
      'tokens of questions and answers to train on then',
      integerFrom(0),
      2_000_000,
    )
    .option('--width <n>', 'width of the hidden states, a multiple of 32', integerFrom(32), 256)
    .option('--layers <n>', 'layers', integerFrom(1), 2)
    .option('--vocabulary <n>', 'entries of the tokenizer', integerFrom(1), 8000)
    .option('--seed <n>', 'seed', integerFrom(1), 1)
    .option('--threads <n>', 'threads', integerFrom(1), 2)
    .option(
      '--corpora <dir>',
      'folder of corpora as published (default: EMOTUNE_CORPORA, else they are downloaded)',
    )
    .addHelpText(
      'after',
      '\nExample:\n  emotune pretrain --family llama --out my-llama --affect-tokens 1000000',
    )
    .action(async ({ vocabulary, work, corpora, out, ...options }: GivenOptions, command) => {
      const session = sessionOf(io, command);
      const { pretrainBaseModel } = await import('../pretrain.js');
      const { Interrupted } = await import('@emotune/training');
      const corporaDir = corpora ?? (io.env['EMOTUNE_CORPORA'] || undefined);
      const made = pretrainBaseModel({
        ...options,
        out: session.path(out),
        work: work === undefined ? join(session.dataDir, 'pretrain') : session.path(work),
        vocabSize: vocabulary,
        text: {
          corporaDir: corporaDir && session.path(corporaDir),
          cacheDir: join(session.dataDir, 'corpora'),
          download: true,
        },
        signal: session.signal,
        log: (line) => session.note(line),
      });
      await made.catch((error) => {
        throw error instanceof Interrupted ? new Stopped(error.policy.exitCode, error.message) : error;
      });
      if (session.json)
        await session.write(JSON.stringify({ family: options.family, folder: session.path(out) }));
    });
};
