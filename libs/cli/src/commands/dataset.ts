import { dirname, resolve } from 'node:path';
import type { data, files } from '@emotune/proto';
import { type Channel, type Client, type Draft, everyPage, isHubName } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import { filesAt, sendRows } from '../files.js';
import { datasetJson, datasetsText, datasetText, examplesText, labelsText } from '../format/dataset.js';
import { newRequestId, type Session, withPlatform } from '../session.js';
import { type AddCommands, asks, fileOption, integerFrom, sessionOf, splitOption } from './options.js';
import { readSpec, submit, untilBuilt } from './specs.js';

const examples = `
Examples:
  emotune dataset create -f dataset.yaml
  emotune dataset preview reviews --split test --rows 3

dataset.yaml:
  name: reviews
  sources:
    - corpus: emotune-demo
    - file: {path: mine.tsv, name: mine, task: sentiment-regression, scale: 0..5}
  split: {validation: 0.1, test: 0.1, seed: 1}`;

type DatasetDraft = Draft<data.DatasetSpec>;

/** Sends the user's own files, which lie relative to the YAML file that names them. */
async function withUploads(
  session: Session,
  channel: Channel,
  spec: DatasetDraft,
  folder: string,
): Promise<DatasetDraft> {
  if (spec.sources === undefined) return spec;
  const sources: typeof spec.sources = [];
  for (const [i, source] of spec.sources.entries()) {
    if (source.import !== undefined) {
      const uploads: files.UploadedFile[] = [];
      for (const [k, { name }] of (source.import.uploads ?? []).entries()) {
        const field = `sources[${i}].import.path[${k}]`;
        for (const path of await filesAt(resolve(folder, name ?? ''), field))
          uploads.push(await sendRows(session, channel, { path, folder, field }));
      }
      sources.push({ ...source, import: { ...source.import, uploads } });
      continue;
    }
    const written = source.file?.upload?.name;
    // The server fetches what the Hub has.
    if (!written || isHubName(written)) {
      sources.push(source);
      continue;
    }
    const place = { path: resolve(folder, written), folder, field: `sources[${i}].file` };
    sources.push({ ...source, file: { ...source.file, upload: await sendRows(session, channel, place) } });
  }
  return { ...spec, sources };
}

const datasetsOf = (channel: Channel): Client<data.DatasetServiceClient> => channel.client('DatasetService');

function answer(session: Session, dataset: data.Dataset): Promise<void> {
  return session.answer(datasetJson(dataset), () => datasetText(dataset));
}

export const addDatasetCommands: AddCommands = (program, io) => {
  const dataset = program
    .command('dataset')
    .description('dataset versions: built from sources, split, content-addressed')
    .addHelpText('after', examples);

  dataset
    .command('create')
    .description('build a dataset and wait until it is ready')
    .addOption(fileOption('dataset'))
    .option('--no-wait', 'leave once it is accepted')
    .addHelpText('after', examples)
    .action(async ({ file, wait }: { file: string; wait: boolean }, command) => {
      const session = sessionOf(io, command);
      const { signal } = session;
      const draft = await readSpec<DatasetDraft>(session, file, 'emotune.data.v1.DatasetSpec');
      await withPlatform(session, async (channel, embedded) => {
        const spec = await withUploads(session, channel, draft, dirname(session.path(file)));
        const datasets = datasetsOf(channel);
        const accepted = await submit(() =>
          datasets.call('createDataset', { spec, requestId: newRequestId() }, { signal }),
        );
        const { name } = accepted;
        if (wait) {
          const ready = await untilBuilt(session, 'dataset', () =>
            datasets.call('getDataset', { name }, { signal }),
          );
          return answer(session, ready);
        }
        if (embedded) session.note(`dataset ${name} is built while a platform runs: see "emotune up"`);
        return answer(session, accepted);
      });
    });

  dataset
    .command('list')
    .description('list all datasets')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => datasetsOf(channel).call('listDatasets', { pageToken }, { signal }),
          (reply) => reply.datasets,
        );
        await session.answer(all.map(datasetJson), () => datasetsText(all));
      }),
    );

  dataset
    .command('get')
    .description('show what a dataset holds')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await datasetsOf(channel).call('getDataset', { name }, { signal })),
      ),
    );

  dataset
    .command('preview')
    .description('show examples in stored order, and how often each label occurs')
    .argument('<name>')
    .addOption(splitOption('which rows').default('train'))
    .option('--rows <n>', 'how many', integerFrom(1), 5)
    .action(
      asks(
        io,
        async ({ session, channel, signal }, name: string, options: { split: string; rows: number }) => {
          const stream = datasetsOf(channel).stream('previewDataset', { name, ...options }, { signal });
          const rows: data.Example[] = [];
          for await (const example of stream) {
            if (session.json)
              await session.write(JSON.stringify(messageJson('emotune.data.v1.Example', example)));
            else rows.push(example);
          }
          if (session.json) return;
          const { manifest } = await datasetsOf(channel).call('getDataset', { name }, { signal });
          const labels = manifest ? labelsText(manifest) : '';
          await session.write([examplesText(rows), labels].filter(Boolean).join('\n\n'));
        },
      ),
    );

  dataset
    .command('delete')
    .description('delete a dataset and its files')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        await datasetsOf(channel).call('deleteDataset', { name }, { signal });
        await session.answer({ name, deleted: true }, () => `dataset ${name} is deleted`);
      }),
    );
};
