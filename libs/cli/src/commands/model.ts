import { existsSync } from 'node:fs';
import type { tuning } from '@emotune/proto';
import {
  type Channel,
  type Client,
  downloadFolder,
  everyPage,
  type ImportHooks,
  importCheckpoint,
  importHubModel,
  isHubName,
} from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import { Option } from 'commander';
import { transferOf } from '../files.js';
import { modelsText, modelText } from '../format/model.js';
import { type Session } from '../session.js';
import { type AddCommands, asks } from './options.js';

const examples = `
Examples:
  emotune model import ~/models/opt-125m --name opt-125m
  emotune model import smollm2.Q8_0.gguf --name smollm2
  emotune model import hf:HuggingFaceTB/SmolLM2-135M@main --name smollm2
  emotune model import ~/adapters/moods --name moods --base opt-125m
  emotune model export affect-small --format safetensors --out affect-small
  emotune model promote affect-small@3f9a1c0b2d4e`;

const modelsOf = (channel: Channel): Client<tuning.ModelServiceClient> => channel.client('ModelService');

const modelJson = (model: tuning.Model) => messageJson('emotune.tuning.v1.Model', model);

function answer(session: Session, model: tuning.Model): Promise<void> {
  return session.answer(modelJson(model), () => modelText(model));
}

/** Where something lies at it, the path; else the name of a model. */
function basePath(session: Session, given: string | undefined): string | undefined {
  return given !== undefined && existsSync(session.path(given)) ? session.path(given) : given;
}

const nameArgument = ['<name>', 'NAME, its newest version, or NAME@VERSION'] as const;

export const addModelCommands: AddCommands = (program, io) => {
  const model = program
    .command('model')
    .description('base models and the models that experiments make')
    .addHelpText('after', examples);

  model
    .command('list')
    .description('list all model versions')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => modelsOf(channel).call('listModels', { pageToken }, { signal }),
          (reply) => reply.models,
        );
        await session.answer(all.map(modelJson), () => modelsText(all));
      }),
    );

  model
    .command('get')
    .description('show a model and where it comes from')
    .argument(...nameArgument)
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await modelsOf(channel).call('getModel', { name }, { signal })),
      ),
    );

  model
    .command('export')
    .description('write a model to a folder that other programs read')
    .argument(...nameArgument)
    .addOption(
      new Option('--format <format>', 'adapter, whole checkpoint, or graph')
        .choices(['peft', 'safetensors', 'onnx'])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <dir>', 'folder to write: new or empty')
    .action(
      asks(
        io,
        async ({ session, channel, signal }, name: string, options: { format: string; out: string }) => {
          const directory = session.path(options.out);
          const list = async () => {
            const request = { name, format: options.format };
            return (await modelsOf(channel).call('exportModel', request, { signal })).files;
          };
          const target = { folder: directory, field: '--out' };
          const files = await downloadFolder(channel, list, target, transferOf(session, `fetching ${name}`));
          await session.answer({ name, format: options.format, directory, files }, () =>
            [`wrote ${directory}`, ...files.map((file) => `  ${file}`)].join('\n'),
          );
        },
      ),
    );

  model
    .command('delete-export')
    .description('delete the files that exports of a version have left on the server; they can be made again')
    .argument(...nameArgument)
    .addOption(
      new Option('--format <format>', 'only this one').choices(['peft', 'safetensors', 'onnx']).default(''),
    )
    .action(
      asks(io, async ({ session, channel, signal }, name: string, { format }: { format: string }) => {
        const { deleted } = await modelsOf(channel).call('deleteExport', { name, format }, { signal });
        await session.answer({ name, deleted }, () =>
          deleted.map((one) => `the export of ${name} as ${one} is deleted`).join('\n'),
        );
      }),
    );

  model
    .command('import')
    .description('register a model of the OPT, BLOOM or LLaMA family, to start experiments from and to ask')
    .argument(
      '<source>',
      'folder of a checkpoint or of a PEFT adapter, a GGUF file, or hf:org/name[@revision][:file.gguf], which the server fetches',
    )
    .requiredOption('--name <name>', 'its name from now on')
    .option(
      '--base <model>',
      "of an adapter: an imported model's NAME, a path or hf:org/name (default: what its config names)",
    )
    .action(
      asks(
        io,
        async ({ session, channel, signal }, source: string, options: { name: string; base?: string }) => {
          const { name, base } = options;
          const hooks: ImportHooks = {
            signal,
            transferOf: (file) => transferOf(session, `sending ${file}`),
            onProgress: ({ phase, done, total, unit }) => session.progress.update(phase, done, total, unit),
          };
          const work = isHubName(source)
            ? importHubModel(channel, { name, source, base }, hooks)
            : importCheckpoint(
                channel,
                { name, path: session.path(source), base: basePath(session, base) },
                hooks,
              );
          const model = await work.finally(() => session.progress.end());
          for (const notice of model.notices) session.note(notice);
          await answer(session, model);
        },
      ),
    );

  model
    .command('promote')
    .description('serve this version under its name')
    .argument(...nameArgument)
    .option('--force', 'also where it answers worse than the version that is served')
    .action(
      asks(io, async ({ session, channel, signal }, name: string, { force = false }: { force?: boolean }) => {
        const model = await modelsOf(channel).call('promoteModel', { name, force }, { signal });
        for (const notice of model.notices) session.note(notice);
        await answer(session, model);
      }),
    );

  model
    .command('delete')
    .description('delete a version and its files, or all versions of a name')
    .argument('<name>', 'NAME or NAME@VERSION')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        const { deleted } = await modelsOf(channel).call('deleteModel', { name }, { signal });
        await session.answer({ name, deleted }, () =>
          deleted.map((id) => `model ${id} is deleted`).join('\n'),
        );
      }),
    );
};
