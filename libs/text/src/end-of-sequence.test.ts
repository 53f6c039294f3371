import { InvalidArgument, NotFound } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { trainBpe } from './bpe.js';
import { endNotices, endsOfSequence, tokenizerOf } from './end-of-sequence.js';

const size = 280;
/** Of ids 0, 1, 2 and 3; only the first is a usual spelling of an end. */
const specialTokens = ['</s>', '<|turn|>', '<|over|>', '<s>'];
const tokenizer = trainBpe(['a calm harbour'], { vocabSize: size, specialTokens });
const unspelt = trainBpe(['a calm harbour'], {
  vocabSize: size,
  specialTokens: ['<a>', '<|turn|>', '<|over|>', '<s>'],
});

const reader = (files: Readonly<Record<string, unknown>>) => async (name: string) =>
  files[name] === undefined ? undefined : JSON.stringify(files[name]);

const config = (eos?: unknown) => ({ vocab_size: size, eos_token_id: eos });

describe('the end of sequence', () => {
  it.each([
    ['the id of config.json, whatever else is spelt as an end', { 'config.json': config(2) }, [2]],
    ['the first of several ids', { 'config.json': config([2, 1]) }, [2, 1]],
    [
      'that of several ids which eos_token spells',
      { 'config.json': config([2, 1]), 'tokenizer_config.json': { eos_token: '<|turn|>' } },
      [1, 2],
    ],
    [
      'the id of generation_config.json where config.json has none',
      { 'config.json': config(null), 'generation_config.json': { eos_token_id: [1, 2] } },
      [1, 2],
    ],
    [
      'that of config.json, and what generation_config.json adds ends a generation',
      { 'config.json': config(2), 'generation_config.json': { eos_token_id: [1, 2] } },
      [2, 1],
    ],
    [
      'eos_token where no file has an id',
      { 'config.json': config(-1), 'tokenizer_config.json': { eos_token: '<|over|>' } },
      [2],
    ],
    [
      'eos_token as an object with its content',
      { 'tokenizer_config.json': { eos_token: { content: '<|turn|>', lstrip: false } } },
      [1],
    ],
    [
      'eos_token of special_tokens_map.json',
      { 'special_tokens_map.json': { eos_token: { content: '<|over|>' } } },
      [2],
    ],
    ['an ordinary token that eos_token names', { 'tokenizer_config.json': { eos_token: 'a' } }, [68]],
    [
      'config.json, not an eos_token of another id',
      { 'config.json': config(3), 'tokenizer_config.json': { eos_token: '<|turn|>' } },
      [3],
    ],
    ['the usual spelling where nothing names it', {}, [0]],
  ])('is %s', async (_, files, ids) => {
    const read = reader({ 'tokenizer.json': tokenizer, ...files });
    expect(await endsOfSequence(read)).toEqual(ids);
    expect((await tokenizerOf(read)).endOfSequence).toBe(ids[0]);
  });

  it('is found in the pieces of a Unigram vocabulary, too', async () => {
    const vocab = [
      ['<unk>', 0],
      ['▁', -2],
      ['[end]', -3],
    ];
    const json = { model: { type: 'Unigram', unk_id: 0, vocab }, added_tokens: [] };
    expect(
      await endsOfSequence(
        reader({ 'tokenizer.json': json, 'tokenizer_config.json': { eos_token: '[end]' } }),
      ),
    ).toEqual([2]);
  });

  it('is none where nothing tells', async () => {
    expect(await endsOfSequence(reader({ 'tokenizer.json': unspelt }))).toEqual([]);
    expect((await tokenizerOf(reader({ 'tokenizer.json': unspelt }))).endOfSequence).toBeUndefined();
    await expect(tokenizerOf(reader({}))).rejects.toThrow(NotFound);
  });

  it.each([
    [
      { 'config.json': config(size) },
      `config.json: eos_token_id: expected ids of tokens below vocab_size (${size}), got ${size}`,
    ],
    [
      { 'generation_config.json': { eos_token_id: ['</s>'] } },
      'generation_config.json: eos_token_id: expected ids',
    ],
    [
      { 'tokenizer_config.json': { eos_token: '<|gone|>' } },
      'tokenizer_config.json: eos_token: expected a token of tokenizer.json, got "<|gone|>"',
    ],
    [{ 'tokenizer_config.json': [] }, 'tokenizer_config.json: expected an object, got []'],
  ])('%j is refused by name', async (files, message) => {
    const read = reader({ 'tokenizer.json': tokenizer, ...files });
    await expect(endsOfSequence(read)).rejects.toThrow(InvalidArgument);
    await expect(endsOfSequence(read)).rejects.toThrow(message);
  });

  it('is told of where files disagree or only a spelling tells', async () => {
    const of = (files: Readonly<Record<string, unknown>>) =>
      endNotices(reader({ 'tokenizer.json': tokenizer, ...files }));
    expect(
      await of({ 'config.json': config(2), 'tokenizer_config.json': { eos_token: '<|over|>' } }),
    ).toEqual([]);
    expect(
      await of({ 'config.json': config(2), 'tokenizer_config.json': { eos_token: '<|turn|>' } }),
    ).toEqual([
      'answers end with token 2, as eos_token_id says; eos_token "<|turn|>" is token 1 and ends nothing',
    ]);
    expect((await of({}))[0]).toContain('answers end with token 0, by its usual spelling');
  });
});
