/** Calibrates what `emotune train` or an export left in a folder anew, on rows that it was not trained on. */
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Calibration, calibratable, type Example, parseTeaching, teachingFile } from '@emotune/affect';
import { exists, InvalidArgument, NotFound } from '@emotune/base';
import { decodeExamples } from '@emotune/records';
import { textAt } from '@emotune/text';
import { calibrate, validationParts } from './calibrating.js';
import { readRows } from './feature-rows.js';
import { saveCalibrations } from './tune.js';

export interface RecalibrateOptions {
  /** Folder of a checkpoint or of a PEFT adapter, with its `emotune.json`, which is written anew. */
  readonly model: string;
  /** An adapter's base model: a checkpoint folder or GGUF file. Default: what the adapter names. */
  readonly base?: string | undefined;
  /**
   * A folder of features, of whose validation rows those are taken that a training leaves aside; or a split of a data set as
   * Parquet, which is taken whole.
   */
  readonly data: string;
  readonly threads: number;
  readonly signal?: AbortSignal;
}

/** @throws InvalidArgument, NotFound. */
async function rowsOf(data: string): Promise<readonly Example[]> {
  const found = await stat(data).catch(() => undefined);
  if (!found) throw new NotFound(`expected a folder of features or a .parquet file, got nothing at ${data}`);
  const rows = found.isDirectory()
    ? validationParts(await readRows(data, ['validation'])).held
    : await decodeExamples(await readFile(data), 'validation');
  if (calibratable(rows)) return rows;
  throw InvalidArgument.at(
    'data',
    `expected 30 rows of a kind of question at least${found.isDirectory() ? ' in the half of the validation texts that no training sees' : ''}, got ${rows.length} rows`,
  );
}

/** @throws InvalidArgument where no base model is there. */
async function baseOf(model: string, base: string | undefined): Promise<string | undefined> {
  const config = await textAt(join(model, 'adapter_config.json'));
  if (config === undefined) return undefined;
  const named = JSON.parse(config).base_model_name_or_path;
  const path = base ?? (typeof named === 'string' ? resolve(model, named) : '');
  if (path !== '' && (await exists(path))) return path;
  throw InvalidArgument.at(
    'base',
    `expected the checkpoint folder or GGUF file of the adapter's base model, got ${base ?? `none, and the adapter names ${named}`}`,
  );
}

/** @throws InvalidArgument, NotFound; the signal's reason, the folder as it was. */
export async function recalibrate({
  model,
  base,
  data,
  threads,
  signal,
}: RecalibrateOptions): Promise<Calibration[]> {
  const text = await textAt(join(model, teachingFile));
  if (text === undefined)
    throw new NotFound(
      `expected ${teachingFile} in ${model}, which tells what the model was taught; emotune train and emotune model export write it`,
    );
  const teaching = parseTeaching(text);
  const rows = await rowsOf(data);
  const folder = await baseOf(model, base);
  const asked = folder === undefined ? { folder: model } : { folder, adapter: model };
  const calibrations = await calibrate({ ...asked, threads }, teaching, rows, signal);
  await saveCalibrations(model, teaching, calibrations);
  return calibrations;
}
