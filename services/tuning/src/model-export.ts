/** Model versions as files that other programs read: written to the object store once, then only named. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FailedPrecondition, InvalidArgument, show } from '@emotune/base';
import { exportOnnx, loadAdapter, loadModel, type Model, mergeAdapter, saveModel } from '@emotune/models';
import type { files, tuning } from '@emotune/proto';
import { checkpointFiles, hashesOf, withTemporary } from './checkpoint-files.js';
import type { Models } from './models.js';
import type { ModelRow } from './store.js';

/** Whether a model's folder holds an adapter; its base model then lies in `base_prefix`. */
const isAdapter = ({ base_prefix: basePrefix }: ModelRow) => basePrefix !== '';

/** The folders that an export is made from, and what makes it. */
interface Export {
  /** The version's own. */
  readonly folder: string;
  /** With the weights and the tokenizer: its base's, where it is an adapter. */
  readonly base: string;
  /** The whole model, the adapter merged. */
  model(): Promise<Model>;
}

/** Each format: writes a new folder, or, where it says so, the version's own files are the export. */
const formats: Readonly<
  Record<string, (row: ModelRow) => 'as it is' | ((from: Export, target: string) => Promise<void>)>
> = {
  safetensors: (row) =>
    isAdapter(row)
      ? async ({ base, model }, target) =>
          saveModel(target, await model(), { tokenizer: join(base, 'tokenizer.json') })
      : 'as it is',
  peft: (row) => {
    if (isAdapter(row)) return 'as it is';
    throw new FailedPrecondition(
      `${row.name}@${row.version} was fully fine-tuned and has no adapter; export it as safetensors`,
    );
  },
  onnx:
    () =>
    async ({ base, model }, target) =>
      exportOnnx(target, await model(), { tokenizer: join(base, 'tokenizer.json') }),
};

/** Files of a folder whose objects lie below `prefix`. */
async function artifactsOf(
  folder: string,
  names: readonly string[],
  prefix: string,
): Promise<files.Artifact[]> {
  const artifacts: files.Artifact[] = [];
  for (const { name, sha256 } of await hashesOf(folder, names)) {
    const { size } = await stat(join(folder, name));
    artifacts.push({ path: name, bytes: size, sha256, name: `${prefix}/${name}` });
  }
  return artifacts;
}

/** @throws InvalidArgument, NotFound, FailedPrecondition. */
export async function exportModel(
  models: Models,
  request: tuning.ExportModelRequest,
): Promise<tuning.ExportModelResponse> {
  const { format } = request;
  const row = await models.find(request.name);
  if (!Object.hasOwn(formats, format))
    throw InvalidArgument.at('format', `expected peft, safetensors or onnx, got ${show(format)}`);
  const make = formats[format](row);
  const { objects } = models.context;
  const place = `exports/${row.name}/${row.version}/${format}`;
  const list = `${place}.json`;
  if (await objects.exists(list))
    return { files: JSON.parse(Buffer.from(await objects.get(list)).toString()) };
  await using stored = await objects.folder(row.prefix);
  const folder = stored.path;
  const write = async (): Promise<files.Artifact[]> => {
    if (make === 'as it is') return artifactsOf(folder, await checkpointFiles(folder), row.prefix);
    await using lease = isAdapter(row) ? await objects.folder(row.base_prefix) : undefined;
    const base = lease?.path ?? folder;
    const model = async () => {
      const whole = await loadModel(base);
      return isAdapter(row) ? mergeAdapter(whole, await loadAdapter(folder, whole.config)) : whole;
    };
    // Awaited here: the base is released when this returns.
    return await withTemporary(async (temporary) => {
      const target = join(temporary, 'export');
      await make({ folder, base, model }, target);
      await objects.putFolder(place, target);
      return artifactsOf(target, (await readdir(target)).sort(), place);
    });
  };
  const made = await write();
  // The list comes last: until it is there, an export that broke off is made again.
  await objects.put(list, JSON.stringify(made));
  return { files: made };
}
