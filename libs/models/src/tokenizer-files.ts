/** The tokenizer of a model, wherever the model keeps it: files of its folder, or inside its GGUF file. */
import { join } from 'node:path';
import { exists } from '@emotune/base';
import {
  type ChatTemplate,
  type GgufMetadata,
  ggufTokenizerConfig,
  ggufTokenizerJson,
  loadChatTemplate,
  parseChatTemplate,
  Tokenizer,
} from '@emotune/text';
import { ggufAt } from './checkpoint.js';
import { toHuggingFaceConfig } from './config.js';
import { GgufFile } from './gguf.js';
import { openGgufModel } from './gguf-model.js';

/** The GGUF file that has to tell what the named file of the folder would. */
async function ggufInsteadOf(path: string, ...names: readonly string[]): Promise<string | undefined> {
  const gguf = await ggufAt(path);
  if (gguf === undefined || gguf === path) return gguf;
  const there = await Promise.all(names.map((name) => exists(join(path, name))));
  return there.includes(true) ? undefined : gguf;
}

async function metadataOf(gguf: string): Promise<GgufMetadata> {
  const file = await GgufFile.open(gguf);
  await file.close();
  return file.metadata;
}

/**
 * The tokenizer of a checkpoint folder, a GGUF file, or a folder with one. A `tokenizer.json` in the folder counts before
 * what the GGUF file holds.
 * @throws NotFound, InvalidArgument.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const gguf = await ggufInsteadOf(path, 'tokenizer.json');
  if (gguf === undefined) return Tokenizer.load(join(path, 'tokenizer.json'));
  return Tokenizer.parse(ggufTokenizerJson(await metadataOf(gguf)));
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
