/** What an import does in the process of a build: reads a model's files whole, and merges those of an adapter. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseTeaching, teachingFile } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import { licenceOfCard } from '@emotune/hub';
import {
  checkpointNotices,
  companionFiles,
  endingWith,
  ggufCompanions,
  loadAdapter,
  loadModel,
  loadTokenizer,
  type Model,
  mergeAdapter,
  parseConfig,
  saveModel,
} from '@emotune/models';
import type { tuning } from '@emotune/proto';
import type { BuildWork } from '@emotune/service';
import { endOfSequence, tryTokenizer } from '@emotune/text';
import { addCompanions, checkpointFiles, teachingIn } from './checkpoint-files.js';
import type { ModelRow } from './store.js';

/** What the base says, and beside it what the adapter's folder says of its own. */
async function mergedFiles(folder: string, base: string): Promise<Record<string, string>> {
  const names = (await checkpointFiles(folder)).filter(
    (name) => !name.startsWith('adapter_') && name !== 'config.json',
  );
  const own = await Promise.all(
    names.map(async (name): Promise<[string, string]> => [name, await readFile(join(folder, name), 'utf8')]),
  );
  return { ...(await companionFiles(base)), ...Object.fromEntries(own) };
}

/** The whole checkpoint that an adapter and its base are, in a new folder. @throws InvalidArgument, NotFound */
async function writeMerged(folder: string, base: string, target: string): Promise<void> {
  const files = await mergedFiles(folder, base);
  const teaching = files[teachingFile] === undefined ? undefined : parseTeaching(files[teachingFile]);
  const whole = await loadModel(base);
  const { config, tensors } = mergeAdapter(whole, await loadAdapter(folder, whole.config));
  const ended = endingWith(config, teaching?.endTokenId ?? null);
  await saveModel(target, { config: ended, tensors }, { files });
}

async function licenceIn(folder: string): Promise<string> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '');
  return licenceOfCard(card);
}

/** Whoever reads the config alone reads what the weights have told. */
async function untie(folder: string, { config }: Model): Promise<void> {
  const path = join(folder, 'config.json');
  const json = JSON.parse(await readFile(path, 'utf8'));
  if (parseConfig(json).tieEmbeddings === config.tieEmbeddings) return;
  await writeFile(path, JSON.stringify({ ...json, tie_word_embeddings: config.tieEmbeddings }, null, 2));
}

interface Checked extends Pick<ModelRow, 'family' | 'parameters' | 'tokenizer'> {
  readonly notices: string[];
}

async function check(folder: string): Promise<Checked> {
  const model = await loadModel(folder);
  const { config, tensors } = model;
  const tokenizer = await loadTokenizer(folder);
  endOfSequence(tokenizer);
  tryTokenizer(tokenizer);
  if (tokenizer.vocabSize > config.vocabSize)
    throw InvalidArgument.at(
      'tokenizer.json',
      `expected at most vocab_size (${config.vocabSize}) tokens, got ${tokenizer.vocabSize}: it belongs to another model`,
    );
  const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  const notices = await checkpointNotices(folder, model);
  await untie(folder, model);
  return { family: config.family, parameters, tokenizer: tokenizer.hash, notices };
}

/** What an import registers of a model. */
export interface ReadModel extends Checked {
  readonly teaching: tuning.Teaching | null;
  readonly licence: string;
}

/**
 * @throws InvalidArgument naming each wrong tensor or field; NotFound
 */
export const read: BuildWork<
  {
    /** What was given. */
    readonly folder: string;
    /** Where the whole model is in the end: the same folder, or for an adapter one that is made. */
    readonly whole: string;
    /** The folder of an adapter's base. */
    readonly base: string | undefined;
  },
  ReadModel
> = async ({ folder, whole, base }) => {
  if (base !== undefined) await writeMerged(folder, base, whole);
  else await addCompanions(folder, await ggufCompanions(folder));
  const checked = await check(whole);
  return { ...checked, teaching: await teachingIn(whole), licence: await licenceIn(folder) };
};
