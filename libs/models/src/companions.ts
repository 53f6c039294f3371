/** What stands beside the weights of a model so that transformers and others load it unaided. */
import { join } from 'node:path';
import { objectIn, textAt } from '@emotune/text';
import type { ModelConfig } from './config.js';
import { ggufCompanions } from './tokenizer-files.js';

type Json = Record<string, unknown>;

const copied = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
];
const kinds = ['bos', 'eos', 'pad', 'unk'] as const;
const namedTokens = /^((bos|eos|unk|pad|sep|cls|mask)_token|additional_special_tokens)$/;

/** The spelling of each token of a `tokenizer.json`. */
function spellings(tokenizer: Json): ReadonlyMap<number, string> {
  const { vocab } = (tokenizer['model'] ?? {}) as { vocab?: unknown };
  const listed = Array.isArray(vocab)
    ? vocab.map((piece, id): [number, string] => [id, String(Array.isArray(piece) ? piece[0] : piece)])
    : Object.entries((vocab ?? {}) as Record<string, number>).map(([text, id]): [number, string] => [
        id,
        text,
      ]);
  const added = (tokenizer['added_tokens'] ?? []) as { id: number; content: string }[];
  return new Map([...listed, ...added.map(({ id, content }): [number, string] => [id, content])]);
}

const firstOf = (ids: unknown): unknown => (Array.isArray(ids) ? ids[0] : ids);

/** The special tokens that config and tokenizer name where the tokenizer's own settings leave them open. */
function tokenizerConfig(
  given: Json | undefined,
  config: Json,
  tokenizer: Json,
  endTokenId: number | null,
): Json {
  const spelling = spellings(tokenizer);
  const { unk_token: unknown } = (tokenizer['model'] ?? {}) as { unk_token?: unknown };
  const length = config['max_position_embeddings'] ?? config['seq_length'];
  const result: Json = given ?? {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...(length === undefined ? {} : { model_max_length: length }),
  };
  const missing = kinds.flatMap((kind): [string, string][] => {
    if (result[`${kind}_token`] !== undefined && result[`${kind}_token`] !== null) return [];
    const id = kind === 'eos' ? (endTokenId ?? config['eos_token_id']) : config[`${kind}_token_id`];
    const text = spelling.get(firstOf(id) as number) ?? (kind === 'unk' ? unknown : undefined);
    return typeof text === 'string' ? [[`${kind}_token`, text]] : [];
  });
  return { ...result, ...Object.fromEntries(missing) };
}

/** The ids that end generation, the given one among them. */
function endsWith(ids: readonly number[], endTokenId: number | null): readonly number[] {
  if (endTokenId === null || ids.includes(endTokenId)) return ids;
  return ids.length > 1 ? [endTokenId, ...ids] : [endTokenId];
}

/** The config of a model that learnt to end its answers with this token; null: with what its config says. */
export function endingWith(config: ModelConfig, endTokenId: number | null): ModelConfig {
  return { ...config, eosTokenIds: endsWith(config.eosTokenIds, endTokenId) };
}

function generationConfig(given: Json, config: Json, endTokenId: number | null): Json {
  const ids = Object.fromEntries(
    ['bos', 'eos', 'pad'].flatMap((kind) => {
      const id = given[`${kind}_token_id`] ?? config[`${kind}_token_id`];
      return id === undefined || id === null ? [] : [[`${kind}_token_id`, id]];
    }),
  );
  const ends = endsWith([(ids['eos_token_id'] as number | number[] | undefined) ?? []].flat(), endTokenId);
  if (ends.length > 0) ids['eos_token_id'] = ends.length > 1 ? ends : ends[0];
  return { ...given, ...ids };
}

/**
 * Text by file name: the tokenizer and its settings, the chat template where there is one, and how generation ends. What a
 * checkpoint (a folder, or one with a GGUF file) does not say beside its weights is written from its config and tokenizer.
 * @param endTokenId what the model learnt to end answers with; null: what its config says
 * @throws InvalidArgument when a file is no JSON.
 */
export async function companionFiles(
  folder: string,
  endTokenId: number | null = null,
): Promise<Record<string, string>> {
  const files: Record<string, string> = { ...(await ggufCompanions(folder)) };
  for (const name of ['config.json', ...copied]) {
    const text = await textAt(join(folder, name));
    if (text !== undefined) files[name] = text;
  }
  const { 'config.json': configText = '{}', ...found } = files;
  const config = objectIn('config.json', configText);
  const read = (name: string) => (found[name] === undefined ? undefined : objectIn(name, found[name]));
  const tokenizer = read('tokenizer.json');
  const generation = generationConfig(read('generation_config.json') ?? {}, config, endTokenId);
  if (Object.keys(generation).length > 0)
    found['generation_config.json'] = textOf(generation, found['generation_config.json']);
  if (!tokenizer) return found;
  const settings = tokenizerConfig(read('tokenizer_config.json'), config, tokenizer, endTokenId);
  const named = Object.fromEntries(Object.entries(settings).filter(([key]) => namedTokens.test(key)));
  return {
    ...found,
    'tokenizer_config.json': textOf(settings, found['tokenizer_config.json']),
    'special_tokens_map.json': found['special_tokens_map.json'] ?? textOf(named),
  };
}

/** As it was given where nothing was added. */
function textOf(json: Json, given?: string): string {
  const same = given !== undefined && JSON.stringify(JSON.parse(given)) === JSON.stringify(json);
  return same ? given : `${JSON.stringify(json, null, 2)}\n`;
}
