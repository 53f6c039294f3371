/**
 * Which tokens end what a model writes, as its files say: `eos_token_id` of `config.json` or `generation_config.json` (one id
 * or several), else `eos_token` of `tokenizer_config.json` or `special_tokens_map.json`, else a usual spelling.
 */
import { InvalidArgument, NotFound, show } from '@emotune/base';
import { objectIn } from './model-file.js';
import { Tokenizer, usualEndOfSequence } from './tokenizer.js';

/** The text of a file of the model by its name; undefined where it has none. */
export type ReadText = (name: string) => Promise<string | undefined>;

type Json = Readonly<Record<string, unknown>>;

/** @throws InvalidArgument when it is not an object. */
async function readObject(read: ReadText, name: string): Promise<Json> {
  return objectIn(name, (await read(name)) ?? '{}');
}

function idsOf(file: string, { eos_token_id: given }: Json, { vocab_size: size }: Json): number[] {
  const ids = ([given ?? []].flat() as unknown[] as number[]).filter((id) => id !== -1);
  for (const id of ids)
    if (!Number.isInteger(id) || id < 0 || (typeof size === 'number' && id >= size))
      throw InvalidArgument.at(
        `${file}: eos_token_id`,
        `expected ids of tokens below vocab_size (${show(size)}), got ${show(id)}`,
      );
  return ids;
}

function textOf(token: unknown): string | undefined {
  const text = typeof token === 'object' && token !== null ? (token as Json)['content'] : token;
  return typeof text === 'string' ? text : undefined;
}

/** Where a `tokenizer.json` has a token. */
function idIn({ added_tokens: added, model }: Json, token: string): number | undefined {
  const entry = Array.isArray(added) ? added.find((one) => one?.content === token) : undefined;
  if (entry) return entry.id;
  const { vocab } = (model ?? {}) as { vocab?: unknown };
  if (Array.isArray(vocab)) {
    const at = vocab.findIndex((piece) => Array.isArray(piece) && piece[0] === token);
    return at < 0 ? undefined : at;
  }
  return typeof vocab === 'object' && vocab !== null && Object.hasOwn(vocab, token)
    ? (vocab as Record<string, number>)[token]
    : undefined;
}

interface Named {
  /** Of config.json, else of generation_config.json. */
  readonly chosen: readonly number[];
  /** Of both. */
  readonly all: readonly number[];
  /** How it is spelt. */
  readonly token: string | undefined;
}

async function namedIn(read: ReadText): Promise<Named> {
  const config = await readObject(read, 'config.json');
  const given = idsOf('config.json', config, config);
  const more = idsOf('generation_config.json', await readObject(read, 'generation_config.json'), config);
  const token =
    textOf((await readObject(read, 'tokenizer_config.json'))['eos_token']) ??
    textOf((await readObject(read, 'special_tokens_map.json'))['eos_token']);
  return { chosen: given.length > 0 ? given : more, all: [...given, ...more], token };
}

/**
 * Each ends what the model writes; the first ends its answers: of several in one file that which `eos_token` spells. None
 * where nothing tells.
 * @throws InvalidArgument naming the file and field that is wrong.
 */
export async function endsOfSequence(read: ReadText): Promise<readonly number[]> {
  const { chosen, all, token } = await namedIn(read);
  // The tokenizer may be large: it is read where its spelling has to tell.
  if (chosen.length === 1) return [...new Set([...chosen, ...all])];
  const tokenizer = await readObject(read, 'tokenizer.json');
  const id = token === undefined ? undefined : idIn(tokenizer, token);
  if (chosen.length > 0) {
    const first = id !== undefined && chosen.includes(id) ? id : chosen[0];
    return [...new Set([first, ...all])];
  }
  if (token !== undefined && id === undefined)
    throw InvalidArgument.at(
      'tokenizer_config.json: eos_token',
      `expected a token of tokenizer.json, got ${show(token)}`,
    );
  return [id ?? usualEndOfSequence((spelling) => idIn(tokenizer, spelling))?.id ?? []].flat();
}

/** What a user should know of how the end of answers was found. @throws as `endsOfSequence`. */
export async function endNotices(read: ReadText): Promise<readonly string[]> {
  const { chosen, all, token } = await namedIn(read);
  const [first] = await endsOfSequence(read);
  const tokenizer = await readObject(read, 'tokenizer.json');
  const id = token === undefined ? undefined : idIn(tokenizer, token);
  if (first === undefined) return [];
  if (chosen.length > 0 && id !== undefined && !all.includes(id))
    return [
      `answers end with token ${first}, as eos_token_id says; eos_token ${show(token)} is token ${id} and ends nothing`,
    ];
  if (chosen.length === 0 && token === undefined)
    return [
      `answers end with token ${first}, by its usual spelling: no file names an eos_token_id or eos_token`,
    ];
  return [];
}

/** The tokenizer that a model's files are, with the end of sequence that they name. @throws NotFound, InvalidArgument. */
export async function tokenizerOf(read: ReadText): Promise<Tokenizer> {
  const text = await read('tokenizer.json');
  if (text === undefined) throw new NotFound('expected a tokenizer.json, got none');
  const json = await readObject(async () => text, 'tokenizer.json');
  const [endOfSequence] = await endsOfSequence(read);
  return Tokenizer.parse(json, { endOfSequence });
}

/** The token that ends answers. @throws InvalidArgument when the model's files name none. */
export function endOfSequence(tokenizer: Tokenizer): number {
  if (tokenizer.endOfSequence !== undefined) return tokenizer.endOfSequence;
  throw InvalidArgument.at(
    'config.json: eos_token_id',
    'expected the token that ends a sequence, there, in generation_config.json, or as eos_token in tokenizer_config.json, got none; name it in one of them and import the model again',
  );
}
