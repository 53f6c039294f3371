/** The tokenizer of a model, wherever the model keeps it: files of its folder, or inside its GGUF file. */
import { join } from 'node:path';
import { exists, NotFound } from '@emotune/base';
import {
  type ChatTemplate,
  ggufTokenizerConfig,
  ggufTokenizerJson,
  loadChatTemplate,
  parseChatTemplate,
  type Tokenizer,
  tokenizerOf,
} from '@emotune/text';
import { toHuggingFaceConfig } from './config.js';
import { openGgufModel } from './gguf-model.js';
import { ggufAt, metadataOf, textsOf } from './model-texts.js';

/** The GGUF file that has to tell what the named file of the folder would. */
async function ggufInsteadOf(path: string, ...names: readonly string[]): Promise<string | undefined> {
  const gguf = await ggufAt(path);
  if (gguf === undefined || gguf === path) return gguf;
  const there = await Promise.all(names.map((name) => exists(join(path, name))));
  return there.includes(true) ? undefined : gguf;
}

/**
 * The tokenizer of a checkpoint folder, a GGUF file, or a folder with one. A `tokenizer.json` in the folder counts before
 * what the GGUF file holds.
 * @throws NotFound, InvalidArgument.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  return tokenizerOf(await textsOf(path)).catch((error) => {
    if (!(error instanceof NotFound)) throw error;
    throw new NotFound(`expected a tokenizer.json, got none in ${path}`, { cause: error });
  });
}

/** The chat template of the same places; undefined where the model has none. @throws NotFound, InvalidArgument. */
export async function loadModelChatTemplate(path: string): Promise<ChatTemplate | undefined> {
  const gguf = await ggufInsteadOf(path, 'tokenizer_config.json', 'chat_template.jinja');
  if (gguf === undefined) return loadChatTemplate(path);
  return parseChatTemplate(ggufTokenizerConfig(await metadataOf(gguf)));
}

/**
 * What a checkpoint folder has beside its weights, from a GGUF file: text by file name. None for a folder without one.
 * @throws NotFound, InvalidArgument.
 */
export async function ggufCompanions(path: string): Promise<Record<string, string>> {
  const gguf = await ggufAt(path);
  if (gguf === undefined) return {};
  const { config, weights } = await openGgufModel(gguf);
  await weights.close();
  const metadata = await metadataOf(gguf);
  const files = {
    'config.json': toHuggingFaceConfig(config),
    'tokenizer.json': ggufTokenizerJson(metadata),
    'tokenizer_config.json': ggufTokenizerConfig(metadata),
  };
  return Object.fromEntries(Object.entries(files).map(([name, json]) => [name, JSON.stringify(json)]));
}
