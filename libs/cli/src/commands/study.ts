import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FailedPrecondition, InvalidArgument } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import { type Channel, type Client, type Draft, everyPage } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import {
  exportText,
  judgementsCsv,
  linksText,
  reportText,
  studiesText,
  studyJson,
  studyText,
} from '../format/study.js';
import { count } from '../format/text.js';
import { newRequestId, type Session } from '../session.js';
import { type AddCommands, asks, type Call, fileOption, integerFrom } from './options.js';
import { readSpec, submit } from './specs.js';

const examples = `
Examples:
  emotune study create -f study.yaml
  emotune study open reviews-by-hand
  emotune study report reviews-by-hand --exclude-failed
  emotune study export reviews-by-hand --out judgements.csv --rows rows.jsonl

study.yaml:
  name: reviews-by-hand
  consent: Your answers are kept without your name.
  licence: CC-BY-4.0
  sample: {evaluation: ID, items: 50}
  rating: {task: sentiment-regression}
  raters: [ada, ben]`;

const serviceOf = (channel: Channel): Client<evaluation.StudyServiceClient> => channel.client('StudyService');

function answer(session: Session, study: evaluation.Study): Promise<void> {
  return session.answer(studyJson(study), () => studyText(study));
}

interface ExportOptions {
  readonly out?: string;
  readonly rows?: string;
  readonly leastRaters: number;
  readonly includeFailed?: boolean;
}

/** Whole or not at all. @throws FailedPrecondition */
async function write(session: Session, path: string, text: string): Promise<void> {
  const to = session.path(path);
  const temporary = join(dirname(to), `.${basename(to)}.${process.pid}.part`);
  try {
    await writeFile(temporary, text);
    await rename(temporary, to);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new FailedPrecondition(
      `${path}: expected a file that can be written, got ${(cause as NodeJS.ErrnoException).code}`,
      { cause },
    );
  }
}

async function writeJudgements({ session, channel, signal }: Call, study: string, path: string) {
  const all = await everyPage(
    (pageToken) => serviceOf(channel).call('listJudgements', { study, pageSize: 500, pageToken }, { signal }),
    (reply) => reply.judgements,
  );
  await write(session, path, judgementsCsv(study, all));
  return { path, judgements: all.length };
}

async function writeRows(
  { session, channel, signal }: Call,
  study: string,
  { rows: path, leastRaters, includeFailed = false }: ExportOptions & { readonly rows: string },
) {
  const { rows, divided, tooFew } = await serviceOf(channel).call(
    'listStudyRows',
    { study, leastRaters, includeFailed },
    { signal },
  );
  const lines = rows.map((row) => `${JSON.stringify(messageJson('emotune.evaluation.v1.StudyRow', row))}\n`);
  await write(session, path, lines.join(''));
  return { path, rows: rows.length, divided, tooFew };
}

export const addStudyCommands: AddCommands = (program, io) => {
  const study = program
    .command('study')
    .alias('studies')
    .description('people rate texts, or say which of two models answers better')
    .addHelpText('after', examples);

  study
    .command('create')
    .description('draw the items of a study')
    .addOption(fileOption('study'))
    .addHelpText('after', examples)
    .action(
      asks(io, async ({ session, channel, signal }, { file }: { file: string }) => {
        const spec = await readSpec<Draft<evaluation.StudySpec>>(
          session,
          file,
          'emotune.evaluation.v1.StudySpec',
        );
        const made = await submit(() =>
          serviceOf(channel).call('createStudy', { spec, requestId: newRequestId() }, { signal }),
        );
        await answer(session, made);
      }),
    );

  study
    .command('list')
    .description('list all studies, the newest first')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => serviceOf(channel).call('listStudies', { pageToken }, { signal }),
          (reply) => reply.studies,
        );
        await session.answer(all.map(studyJson), () => studiesText(all));
      }),
    );

  study
    .command('get')
    .description('show a study and who has judged')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await serviceOf(channel).call('getStudy', { name }, { signal })),
      ),
    );

  study
    .command('open')
    .description('let raters judge, and print their links; also once more')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        const opened = await serviceOf(channel).call('openStudy', { name }, { signal });
        if (opened.notice !== '') session.note(opened.notice);
        await session.answer(messageJson('emotune.evaluation.v1.OpenStudyResponse', opened), () =>
          linksText(opened),
        );
      }),
    );

  study
    .command('report')
    .description('tell how far raters agree, how each did, and where models stand beside them')
    .argument('<name>')
    .option('--exclude-failed', 'leave raters out who failed their attention checks')
    .action(
      asks(
        io,
        async (
          { session, channel, signal },
          name: string,
          { excludeFailed = false }: { excludeFailed?: boolean },
        ) => {
          const report = await serviceOf(channel).call('getStudyReport', { name, excludeFailed }, { signal });
          await session.answer(messageJson('emotune.evaluation.v1.StudyReport', report), () =>
            reportText(report),
          );
        },
      ),
    );

  study
    .command('export')
    .description('write judgements as CSV, or rows of which a dataset can be made')
    .argument('<name>')
    .option('--out <file.csv>', 'every judgement, a row each')
    .option('--rows <file.jsonl>', "what raters say together, for a dataset's import of the format study")
    .option('--least-raters <n>', 'rows: raters that an item must have', integerFrom(1), 1)
    .option('--include-failed', 'rows: with raters who failed their attention checks')
    .action(
      asks(io, async (call, name: string, options: ExportOptions) => {
        const { out, rows } = options;
        if (out === undefined && rows === undefined)
          throw InvalidArgument.at('--out', 'expected this or --rows, got neither');
        const judgements = out === undefined ? undefined : await writeJudgements(call, name, out);
        const made = rows === undefined ? undefined : await writeRows(call, name, { ...options, rows });
        await call.session.answer({ name, judgements, rows: made }, () =>
          exportText([
            ...(judgements
              ? [{ path: judgements.path, what: `${count(judgements.judgements)} judgements` }]
              : []),
            ...(made
              ? [
                  {
                    path: made.path,
                    what: `${count(made.rows)} rows (left out: ${count(made.divided)} whose raters are divided, ${count(made.tooFew)} with too few raters)`,
                  },
                ]
              : []),
          ]),
        );
      }),
    );

  study
    .command('close')
    .description('take no more judgements')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await serviceOf(channel).call('closeStudy', { name }, { signal })),
      ),
    );

  study
    .command('delete')
    .description('delete a study that is closed, with its judgements')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        await serviceOf(channel).call('deleteStudy', { name }, { signal });
        await session.answer({ name, deleted: true }, () => `study ${name} is deleted`);
      }),
    );
};
