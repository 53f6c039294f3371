import { basename, dirname, join, resolve } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { Stopped } from '@emotune/cli';
import { type AddCommands, fileOption, readYamlFile, sessionOf } from '@emotune/cli/command';
import { figure } from '@emotune/cli/format';
import type { DistillFile } from '../distill/file.js';

const examples = `
Example:
  emotune distill -f distill.yaml

distill.yaml, with paths relative to it:
  teachers:
    - model: teacher              # checkpoint folder or GGUF file
  student: models/emotune-opt-4m  # of any family and tokenizer
  out: taught                     # folder to write, which must not exist
  data: {corpora: train}          # or dataset: DIR, texts: [FILE, …]
  questions:                      # what the teachers were taught, where this is left out
    - {task: sentiment-classification, labels: [negative, neutral, positive]}
    - {task: emotion-regression, emotion: joy, scale: {low: 0, high: 1}}
  temperature: 2
  goldWeight: 0.5
  epochs: 2

docs/distillation.md says more; docs/training.md names every setting of training.`;

/** Paths are relative to the file. */
function located(file: DistillFile, folder: string): DistillFile {
  const at = (path: string) => resolve(folder, path);
  const { dataset, texts } = file.data;
  return {
    ...file,
    teachers: file.teachers.map(({ adapter, ...teacher }) => ({
      ...teacher,
      model: at(teacher.model),
      ...(adapter === undefined ? {} : { adapter: at(adapter) }),
    })),
    student: at(file.student),
    out: at(file.out),
    ...(file.work === undefined ? {} : { work: at(file.work) }),
    data: {
      ...file.data,
      ...(dataset === undefined ? {} : { dataset: at(dataset) }),
      ...(texts === undefined ? {} : { texts: texts.map(at) }),
    },
  };
}

/**
 * Subtasks are mixed, and the rows are trained on once, unless the file says otherwise.
 * @throws InvalidArgument where it says twice for how long.
 */
function withDefaults(given: unknown): unknown {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) return given;
  if ('tokens' in given && 'epochs' in given)
    throw InvalidArgument.at('epochs', 'expected none beside tokens, got both');
  return { curriculum: 'mixed', ...('tokens' in given ? {} : { epochs: 1 }), ...given };
}

export const addDistillCommand: AddCommands = (program, io) => {
  program
    .command('distill')
    .description("teach a model another one's answers; interrupt and repeat to resume")
    .addOption(fileOption('run'))
    .option(
      '--corpora <dir>',
      'folder of corpora as published (default: EMOTUNE_CORPORA, else they are downloaded)',
    )
    .addHelpText('after', examples)
    .action(async ({ file, corpora }: { file: string; corpora?: string }, command) => {
      const session = sessionOf(io, command);
      const { progress, signal } = session;
      const given = await readYamlFile(session.path(file), file);
      const { Interrupted, parseSettingsFile } = await import('@emotune/training');
      const { distillStudent } = await import('../distill/distill.js');
      const { distillFields } = await import('../distill/file.js');
      const { beside, settings } = parseSettingsFile(withDefaults(given), distillFields);
      const corporaDir = corpora ?? (io.env['EMOTUNE_CORPORA'] || undefined);
      try {
        const distilled = await distillStudent({
          file: located(beside, dirname(session.path(file))),
          settings,
          locate: {
            corporaDir: corporaDir && session.path(corporaDir),
            cacheDir: join(session.dataDir, 'corpora'),
            download: true,
            signal,
          },
          signal,
          note: (line) => session.note(line),
          onAsking: ({ model }, done, total, questions) =>
            progress.update(`asking ${basename(model)} ${questions} questions`, done, total, 'characters'),
          onMeasurement: ({ tokens, totalTokens, seconds, trainLoss, objective }) => {
            if (objective !== undefined)
              progress.line(`${tokens} tokens: ${figure(objective)} nats a held-out row from the teachers`);
            progress.update(
              `training at ${Math.round(tokens / seconds)} tokens/s, loss ${figure(trainLoss)}`,
              tokens,
              totalTokens,
              'tokens',
            );
          },
        });
        progress.end();
        await session.answer(distilled, () => {
          const { out, tokens, distance } = distilled;
          const from = distance === null ? '' : `, ${figure(distance)} nats a held-out row from the teachers`;
          return `wrote ${out} after ${tokens} tokens${from}`;
        });
      } catch (error) {
        if (error instanceof Interrupted) throw new Stopped(error.policy.exitCode, error.message);
        throw error;
      } finally {
        progress.end();
      }
    });
};
