/** Model versions as files that other programs load unaided: written to the object store once, then only named. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { lexiconsFile, lexiconsJson, parseLexicons, teachingFile, teachingJson } from '@emotune/affect';
import { besideModule, DataLoss, FailedPrecondition, InvalidArgument, NotFound, show } from '@emotune/base';
import { isWhole, type ObjectStore } from '@emotune/objects';
import type { files, tuning } from '@emotune/proto';
import { teachingOfModel } from '@emotune/service';
import { textAt } from '@emotune/text';
import { hashesOf, withTemporary } from './checkpoint-files.js';
import { evaluationResults } from './evaluation-results.js';
import type { ExportBuild } from './export-work.js';
import { type CardFacts, modelCard } from './model-card.js';
import type { Models } from './models.js';
import type { ModelRow } from './store.js';

/** Whether a model's folder holds an adapter; its base model then lies in `base_prefix`. */
const isAdapter = ({ base_prefix: basePrefix }: ModelRow) => basePrefix !== '';

/** What others load the base model of an adapter by. */
function baseName({ lineage }: ModelRow): { name: string; revision?: string } {
  const source = lineage?.baseSource || lineage?.baseModel || '';
  const hub = /^hf:([^@]+)(?:@(.+))?$/.exec(source);
  if (!hub) return { name: source };
  return { name: hub[1], ...(hub[2] ? { revision: hub[2] } : {}) };
}

const formats: readonly string[] = ['safetensors', 'peft', 'onnx'] satisfies readonly CardFacts['format'][];
const exportWork = besideModule(import.meta.url, 'export-work');

function isFormat(format: string): format is CardFacts['format'] {
  return formats.includes(format);
}

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

/** Licences of the base model, and a base model's own card: text by name. */
async function notices(base: string, withCard: boolean): Promise<Record<string, string>> {
  const names = (await readdir(base)).filter(
    (name) => /^(LICENSE|NOTICE)(\.[a-z]+)?$/.test(name) || (withCard && name === 'README.md'),
  );
  const texts = names.map(
    async (name): Promise<[string, string]> => [name, await readFile(join(base, name), 'utf8')],
  );
  return Object.fromEntries(await Promise.all(texts));
}

interface Made {
  /** Of the model, when the export was made. */
  readonly evaluation: string;
  readonly files: files.Artifact[];
}

/** Undefined where there is none, or none that is whole. */
async function madeBefore(objects: ObjectStore, place: string): Promise<Made | undefined> {
  if (!(await isWhole(objects, place))) return undefined;
  try {
    const made: Made = JSON.parse(Buffer.from(await objects.get(listOf(place))).toString());
    const there = new Set((await objects.list(`${place}/`)).map(({ key }) => key));
    // Somebody may have deleted it elsewhere while it was made.
    return made.files.every(({ name }) => !name.startsWith(`${place}/`) || there.has(name))
      ? made
      : undefined;
  } catch (error) {
    if (error instanceof NotFound || error instanceof DataLoss) return undefined;
    throw error;
  }
}

/** The object that tells of an export's files. */
const listOf = (place: string) => `${place}.json`;

const placeOf = ({ name, version }: ModelRow, format: string) => `exports/${name}/${version}/${format}`;

function unknownFormat(format: string): InvalidArgument {
  return InvalidArgument.at('format', `expected peft, safetensors or onnx, got ${show(format)}`);
}

/** One that is made already is waited for. @throws InvalidArgument, NotFound, FailedPrecondition, DataLoss. */
export async function exportModel(
  models: Models,
  { name, format }: tuning.ExportModelRequest,
): Promise<tuning.ExportModelResponse> {
  const row = await models.find(name);
  if (!isFormat(format)) throw unknownFormat(format);
  const place = placeOf(row, format);
  const made = models.exporting.get(place) ?? makeExport(models, row, format);
  models.exporting.set(place, made);
  try {
    return await made;
  } finally {
    if (models.exporting.get(place) === made) models.exporting.delete(place);
  }
}

/**
 * Deletes the export of one format, or all of a version. The list goes first: without it an export is made again.
 * @throws InvalidArgument, NotFound; FailedPrecondition while it is being made.
 */
export async function deleteExport(
  models: Models,
  { name, format }: tuning.DeleteExportRequest,
): Promise<string[]> {
  if (format !== '' && !isFormat(format)) throw unknownFormat(format);
  const { objects } = models.context;
  const row = await models.find(name);
  const asked = format === '' ? formats : [format];
  const id = `${row.name}@${row.version}`;
  const beingMade = asked.filter((one) => models.exporting.has(placeOf(row, one)));
  if (beingMade.length > 0)
    throw new FailedPrecondition(
      `the export of model ${id} as ${beingMade.join(', ')} is being made; delete it when it is done`,
    );
  const deleted: string[] = [];
  for (const one of asked) {
    const place = placeOf(row, one);
    const there = (await objects.list(`${place}/`)).length > 0 || (await objects.exists(listOf(place)));
    if (!there) continue;
    await objects.delete(listOf(place));
    await objects.delete(place);
    deleted.push(one);
  }
  if (deleted.length === 0)
    throw new NotFound(
      `expected an export of model ${id}${format === '' ? '' : ` as ${format}`}, got none; "emotune model export" makes one`,
    );
  return deleted;
}

/** Lexicons whose terms may be handed on: others have to be had from their authors. */
async function lexiconsIn(folder: string): Promise<Record<string, string>> {
  const text = await textAt(join(folder, lexiconsFile));
  const kept = text === undefined ? [] : parseLexicons(text).filter(({ redistributable }) => redistributable);
  return kept.length === 0 ? {} : { [lexiconsFile]: lexiconsJson(kept) };
}

async function makeExport(
  models: Models,
  row: ModelRow,
  format: CardFacts['format'],
): Promise<tuning.ExportModelResponse> {
  if (format === 'peft' && !isAdapter(row))
    throw new FailedPrecondition(
      `${row.name}@${row.version} was fully fine-tuned and has no adapter; export it as safetensors`,
    );
  const { objects, builds } = models.context;
  const place = placeOf(row, format);
  const evaluation = row.evaluation ?? '';
  await using stored = await objects.folder(row.prefix);
  const known = await madeBefore(objects, place);
  // What was made before the evaluation does not tell what it found.
  if (known?.evaluation === evaluation) return { files: known.files };
  await using lease = isAdapter(row) ? await objects.folder(row.base_prefix) : undefined;
  const folder = stored.path;
  const base = lease?.path ?? folder;
  const teaching = teachingOfModel({ teaching: row.teaching ?? undefined });
  const endTokenId = teaching?.endTokenId ?? null;
  const facts: CardFacts = {
    ...row,
    format,
    licence: row.licence || (row.lineage?.baseLicence ?? ''),
    base: row.lineage?.baseSource || row.lineage?.baseModel || row.source,
    lineage: row.lineage ?? undefined,
    teaching,
    results: await evaluationResults(objects, evaluation),
  };
  const texts = {
    'README.md': modelCard(facts),
    ...(await notices(base, row.kind === 'base')),
    ...(teaching ? { [teachingFile]: teachingJson(teaching) } : {}),
    ...(await lexiconsIn(folder)),
  };
  // Awaited here: the folders are released when this returns.
  const made = await withTemporary(async (temporary) => {
    const target = join(temporary, 'export');
    const asked = {
      format,
      target,
      folder,
      base,
      adapter: isAdapter(row),
      baseName: baseName(row),
      texts,
      endTokenId,
    };
    const asTheyAre = await builds.run<ExportBuild, readonly string[]>(exportWork, 'write', asked);
    await objects.delete(place);
    await objects.putFolder(place, target);
    const written = await artifactsOf(target, (await readdir(target)).sort(), place);
    const kept = await artifactsOf(folder, asTheyAre, row.prefix);
    return [...written, ...kept].sort((a, b) => (a.path < b.path ? -1 : 1));
  });
  // The list comes last: until it is there, an export that broke off is made again.
  await objects.put(listOf(place), JSON.stringify({ evaluation, files: made }));
  return { files: made };
}
