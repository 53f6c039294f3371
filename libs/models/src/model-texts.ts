/** Where a model keeps what it says: files of its folder, or inside its GGUF file. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import {
  type GgufMetadata,
  ggufTokenizerConfig,
  ggufTokenizerJson,
  type ReadText,
  textAt,
} from '@emotune/text';
import { GgufFile } from './gguf.js';

/**
 * The GGUF file that a path stands for: itself, or the only one of a folder without safetensors; undefined for others.
 * @throws InvalidArgument when there are several.
 */
export async function ggufAt(path: string): Promise<string | undefined> {
  if (path.endsWith('.gguf') && !(await stat(path).catch(() => undefined))?.isDirectory()) return path;
  const names = await readdir(path).catch(() => [] as string[]);
  const found = names.filter((name) => name.endsWith('.gguf'));
  if (found.length === 0 || names.some((name) => /^model.*\.safetensors$/.test(name))) return undefined;
  if (found.length > 1)
    throw InvalidArgument.at(
      path,
      `expected one GGUF file, got ${found.sort().join(', ')}; name the file itself, or leave one in the folder`,
    );
  return join(path, found[0]);
}

export async function metadataOf(gguf: string): Promise<GgufMetadata> {
  const file = await GgufFile.open(gguf);
  await file.close();
  return file.metadata;
}

/**
 * The texts beside the weights of a checkpoint folder, a GGUF file, or a folder with one. What lies in the folder counts
 * before what the GGUF file holds.
 */
export async function textsOf(path: string): Promise<ReadText> {
  const gguf = await ggufAt(path);
  const inside = gguf === undefined ? {} : ggufTexts(await metadataOf(gguf));
  return async (name) => {
    return (await textAt(join(path, name))) ?? inside[name]?.();
  };
}

function ggufTexts(metadata: GgufMetadata): Readonly<Record<string, () => string>> {
  const config = () => JSON.stringify({ eos_token_id: metadata.get('tokenizer.ggml.eos_token_id') });
  if (!metadata.has('tokenizer.ggml.model')) return { 'config.json': config };
  return {
    'config.json': config,
    'tokenizer.json': () => JSON.stringify(ggufTokenizerJson(metadata)),
    'tokenizer_config.json': () => JSON.stringify(ggufTokenizerConfig(metadata)),
  };
}
