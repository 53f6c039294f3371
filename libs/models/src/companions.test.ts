import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { companionFiles } from './companions.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-companions-'));
  write('config.json', {
    model_type: 'opt',
    bos_token_id: 0,
    eos_token_id: 1,
    pad_token_id: 2,
    max_position_embeddings: 64,
  });
  write('tokenizer.json', {
    model: { vocab: { '<s>': 0, '</s>': 1, '<pad>': 2, a: 3 }, unk_token: '<pad>' },
    added_tokens: [{ id: 4, content: '<|turn|>' }],
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, json: unknown) => writeFileSync(join(folder, name), JSON.stringify(json));
async function read(endTokenId?: number): Promise<Record<string, Record<string, unknown>>> {
  const files = await companionFiles(folder, endTokenId);
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, name.endsWith('.json') ? JSON.parse(text) : text]),
  );
}

it('writes what a checkpoint does not say, so that nothing falls back to the defaults of a family', async () => {
  const files = await read();
  expect(files['tokenizer_config.json']).toEqual({
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: 64,
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '<pad>',
    unk_token: '<pad>',
  });
  expect(files['special_tokens_map.json']).toEqual({
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '<pad>',
    unk_token: '<pad>',
  });
  expect(files['generation_config.json']).toEqual({ bos_token_id: 0, eos_token_id: 1, pad_token_id: 2 });
});

it('keeps what a checkpoint says, template included', async () => {
  const settings = { tokenizer_class: 'GPT2Tokenizer', eos_token: { content: '<|turn|>' }, pad_token: 'a' };
  write('tokenizer_config.json', settings);
  write('special_tokens_map.json', { eos_token: '<|turn|>' });
  write('generation_config.json', { eos_token_id: [4, 1], temperature: 0.5, do_sample: true });
  writeFileSync(join(folder, 'chat_template.jinja'), '{{ messages }}');
  const files = await read(4);
  expect(files['tokenizer_config.json']).toMatchObject(settings);
  expect(files['special_tokens_map.json']).toEqual({ eos_token: '<|turn|>' });
  expect(files['generation_config.json']).toEqual({
    bos_token_id: 0,
    eos_token_id: [4, 1],
    pad_token_id: 2,
    temperature: 0.5,
    do_sample: true,
  });
  expect(files['chat_template.jinja']).toBe('{{ messages }}');
});

it('generation ends as answers were taught to end', async () => {
  const files = await read(4);
  expect(files['generation_config.json']['eos_token_id']).toBe(4);
  expect(files['tokenizer_config.json']['eos_token']).toBe('<|turn|>');
  write('generation_config.json', { eos_token_id: [1, 2] });
  expect((await read(4))['generation_config.json']['eos_token_id']).toEqual([4, 1, 2]);
});

it('a file that is no JSON object is named', async () => {
  writeFileSync(join(folder, 'tokenizer_config.json'), '[]');
  await expect(companionFiles(folder)).rejects.toThrow(InvalidArgument);
  await expect(companionFiles(folder)).rejects.toThrow('tokenizer_config.json: expected an object, got []');
});
