import { join } from 'node:path';
import { Violations } from '@emotune/base';
import { common, type evaluation } from '@emotune/proto';
import { type Channel, type Draft, download } from '@emotune/service/client';
import { sendRows, transferOf } from '../files.js';
import { checksText } from '../format/checks.js';
import { evaluationJson, evaluationText } from '../format/evaluation.js';
import { plainText, rightAnswers } from '../format/plain.js';
import { newRequestId, type Session, withPlatform } from '../session.js';
import {
  type AddCommands,
  integerFrom,
  labelsOption,
  scaleOption,
  sessionOf,
  splitOption,
  taskMessage,
  taskOption,
} from './options.js';
import { BuildFailed, submit } from './specs.js';

const examples = `
Examples:
  emotune evaluate --model affect-small --dataset reviews
  emotune evaluate --model affect-small --file mine.tsv --task sentiment-regression --scale 0..5
  emotune evaluate --model affect-small --file mine.csv --task emotion-classification --labels joy,fear,anger --multi-label
  emotune evaluate --model affect-small --plain
  emotune evaluate --model affect-small --checks

A file is CSV, TSV, JSONL or Parquet as of a dataset, its columns text and label, optionally emotion (whose
intensity) and id, or as the options name them.`;

interface EvaluateOptions {
  readonly model: string;
  readonly dataset?: string;
  readonly split?: string;
  readonly file?: string;
  readonly plain?: boolean;
  readonly checks?: boolean;
  readonly task?: string;
  readonly scale?: common.Scale;
  readonly labels?: string[];
  readonly multiLabel?: boolean;
  readonly labelSeparator?: string;
  readonly textColumn?: string;
  readonly labelColumn?: string;
  readonly emotionColumn?: string;
  readonly idColumn?: string;
  readonly language?: string;
  readonly limit?: number;
}

/** textColumn → text-column */
function optionName(property: string): string {
  return property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What is to be evaluated on; a file as the user wrote its path.
 * @throws InvalidArgument naming each option that is missing or does not fit.
 */
function targetOf(
  options: EvaluateOptions,
): Pick<Draft<evaluation.EvaluateRequest>, 'dataset' | 'file' | 'plain' | 'checks'> {
  const alone = options.plain ? 'plain' : options.checks ? 'checks' : undefined;
  if (alone) {
    const violations = new Violations();
    for (const name of Object.keys(options))
      violations.expect(
        name === 'model' || name === alone,
        `--${optionName(name)}`,
        `expected nothing beside --${alone}, which declares all`,
      );
    violations.throwIfAny();
    return { [alone]: {} };
  }
  const { dataset, file, task, scale, labels, multiLabel = false, labelSeparator = '' } = options;
  const split = options.split ?? 'test';
  const violations = new Violations();
  const regression = task?.endsWith('regression') ?? false;
  if (dataset !== undefined && file === undefined) {
    for (const [name, value] of [
      ['task', task],
      ['scale', scale],
      ['labels', labels],
      ['multi-label', options.multiLabel],
      ['label-separator', options.labelSeparator],
      ['text-column', options.textColumn],
      ['label-column', options.labelColumn],
      ['emotion-column', options.emotionColumn],
      ['id-column', options.idColumn],
      ['language', options.language],
    ]) {
      violations.expect(
        value === undefined,
        `--${name}`,
        'expected nothing beside --dataset, which declares its own',
      );
    }
    violations.throwIfAny();
    return { dataset: { dataset, split } };
  }
  violations.expect(
    file !== undefined && dataset === undefined,
    '--dataset',
    `expected either it, --file, --plain or --checks, got ${file === undefined ? 'none' : 'both'}`,
  );
  if (file !== undefined) {
    violations.expect(
      options.split === undefined,
      '--split',
      'expected nothing beside --file, which is asked whole',
    );
    violations.expect(
      task !== undefined,
      '--task',
      'expected the task that the file is labelled for, got nothing',
    );
    violations.expect(
      !regression || (labels === undefined && !multiLabel && labelSeparator === ''),
      '--labels',
      `expected nothing for ${task}`,
    );
    const classification = task !== undefined && !regression;
    violations.expect(!classification || scale === undefined, '--scale', `expected nothing for ${task}`);
  }
  violations.throwIfAny();
  return {
    file: {
      upload: { name: file! },
      task: taskMessage(task!),
      scale,
      labels: labels ?? [],
      multiLabel,
      labelSeparator,
      textColumn: options.textColumn ?? '',
      labelColumn: options.labelColumn ?? '',
      emotionColumn: options.emotionColumn ?? '',
      idColumn: options.idColumn ?? '',
      language: options.language ?? '',
    },
  };
}

const { BUILD_STATE_READY, BUILD_STATE_FAILED } = common.BuildState;

/** Writes the report below the data folder; gives its path. */
async function fetchReport(
  session: Session,
  channel: Channel,
  { id, artifacts }: evaluation.Evaluation,
): Promise<string> {
  const [report] = artifacts.filter(({ path }) => path === 'report.html');
  const path = join(session.dataDir, 'evaluations', id, 'report.html');
  await download(channel, report.name, path, transferOf(session, 'fetching the report'));
  return path;
}

export const addEvaluateCommand: AddCommands = (program, io) => {
  program
    .command('evaluate')
    .description('measure how good the answers of a model are, beside simple baselines')
    .requiredOption('--model <name>', 'NAME or NAME@VERSION')
    .option('--dataset <name>', 'a dataset of the platform')
    .addOption(splitOption('which rows of the dataset (default: test)'))
    .option('--file <path>', 'a labelled file of your own')
    .option('--plain', 'a hundred everyday sentences that come with EmoTune: a smoke test of any model')
    .option(
      '--checks',
      'what any model should be able to do: negation, sarcasm, typing errors, names and the like',
    )
    .addOption(taskOption('what the file is labelled for'))
    .addOption(scaleOption('regression: the range of the labels (default: what the model was taught)'))
    .addOption(
      labelsOption('classification: every label that may occur (default: what the model was taught)'),
    )
    .option('--multi-label', 'rows may have several labels: a list, or a text such as joy|fear')
    .option('--label-separator <text>', 'what stands between the labels of such a text (default: |)')
    .option('--text-column <name>', 'of the file (default: text)')
    .option('--label-column <name>', 'of the file (default: label)')
    .option('--emotion-column <name>', 'of the file: whose intensity (default: emotion)')
    .option('--id-column <name>', 'of the file (default: id)')
    .option('--language <tag>', "of the file's texts, BCP 47 (default: en)")
    .option('--limit <n>', 'ask at most this many examples of each task', integerFrom(1))
    .addHelpText('after', examples)
    .action(async (options: EvaluateOptions, command) => {
      const session = sessionOf(io, command);
      const { signal, progress } = session;
      const target = targetOf(options);
      await withPlatform(session, async (channel) => {
        const evaluations = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
        const { file } = target;
        if (file) {
          const place = { path: session.path(options.file!), folder: session.path('.'), field: 'file.path' };
          file.upload = await sendRows(session, channel, place);
        }
        const request = {
          ...target,
          model: options.model,
          limit: options.limit ?? 0,
          requestId: newRequestId(),
        };
        let latest = await submit(() => evaluations.call('evaluate', request, { signal }));
        const { id } = latest;
        try {
          for await (const update of evaluations.stream('watchEvaluation', { id }, { signal })) {
            latest = update;
            const { phase, done, total, unit } = update.progress ?? {
              phase: 'waiting',
              done: 0,
              total: 0,
              unit: '',
            };
            if (update.state !== BUILD_STATE_READY && update.state !== BUILD_STATE_FAILED)
              progress.update(`evaluation: ${phase}`, done, total, unit);
          }
        } finally {
          progress.end();
        }
        if (latest.state !== BUILD_STATE_READY)
          throw new BuildFailed(`evaluation ${id} failed: ${latest.failure}`);
        const report = await fetchReport(session, channel, latest);
        const json = { ...evaluationJson(latest), report };
        if (target.plain)
          await session.answer({ ...json, right: rightAnswers(latest) }, () => plainText(latest, report));
        else if (target.checks) await session.answer(json, () => checksText(latest, report));
        else await session.answer(json, () => evaluationText(latest, report));
      });
    });
};
