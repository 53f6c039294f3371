/** Whatever stands in the JSON files and weights of a checkpoint or adapter, it is loaded or refused by name. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, NotFound } from '@emotune/base';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, saveModel } from './checkpoint.js';
import { parseConfig } from './config.js';
import { initialLora } from './lora.js';
import { initialTensors } from './model.js';
import { loadAdapter, saveAdapter } from './peft.js';
import { loadModelChatTemplate, loadTokenizer } from './tokenizer-files.js';

const fuzzRuns = 300;

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 5,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 4,
});
const lora = { rank: 1, alpha: 2, targets: ['q_proj'], rankStabilised: false };

let dir: string;
let model: string;
let adapter: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'emotune-readers-'));
  [model, adapter] = [join(dir, 'model'), join(dir, 'adapter')];
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const addedToken = { id: 3, content: '<s>', ...flags };
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [addedToken],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
  };
  const files = {
    'tokenizer.json': JSON.stringify(tokenizer),
    'tokenizer_config.json': JSON.stringify({ bos_token: 'a', chat_template: 'x' }),
  };
  await saveModel(model, { config, tensors: initialTensors(config, 1) }, { files });
  cpSync(join(model, 'model.safetensors'), join(model, 'model-1.safetensors'));
  await saveAdapter(adapter, { lora, tensors: initialLora(config, lora, 1) }, config, 'base');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function loadOrRefuse(load: () => Promise<unknown>): Promise<void> {
  try {
    await load();
  } catch (error) {
    if (!(error instanceof NotFound)) expect(error).toBeInstanceOf(InvalidArgument);
  }
}

const index = 'model.safetensors.index.json';
const weightMap = JSON.stringify({ weight_map: { 'model.norm.weight': 'model-1.safetensors' } });
const readers: [string, () => string, string | undefined, () => Promise<unknown>][] = [
  ['config.json', () => model, undefined, () => loadModel(model)],
  [index, () => model, weightMap, () => loadModel(model)],
  ['tokenizer.json', () => model, undefined, () => loadTokenizer(model)],
  ['tokenizer_config.json', () => model, undefined, () => loadModelChatTemplate(model)],
  ['adapter_config.json', () => adapter, undefined, () => loadAdapter(adapter, config)],
];

describe.each(readers)('%s of any content', (name, folder, content, load) => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(null, -1, 1.5, 2 ** 31, 2 ** 53, 'x', '../x', [], {}, [null]),
  );

  it('is read or refused', async () => {
    const path = join(folder(), name);
    const good = content ?? readFileSync(path, 'utf8');
    const json = JSON.parse(good) as Record<string, unknown>;
    try {
      writeFileSync(path, good);
      await load();
      for (let keep = 0; keep < good.length; keep++) {
        writeFileSync(path, good.slice(0, keep));
        await loadOrRefuse(load);
      }
      const changes = fc.dictionary(fc.constantFrom(...Object.keys(json), 'extra'), value, {
        minKeys: 1,
        maxKeys: 3,
      });
      const changed = fc.oneof(
        { weight: 4, arbitrary: changes.map((more) => ({ ...json, ...more })) },
        value,
      );
      await fc.assert(
        fc.asyncProperty(changed, async (written) => {
          writeFileSync(path, JSON.stringify(written));
          await loadOrRefuse(load);
        }),
        { numRuns: fuzzRuns },
      );
    } finally {
      if (content === undefined) writeFileSync(path, good);
      else rmSync(path);
    }
  });
});

describe('a checkpoint with', () => {
  it.each([
    [
      '{"weight_map":{"a":"../model.safetensors"}}',
      'expected names of .safetensors files in weight_map, got "../model.safetensors"',
    ],
    ['{"weight_map":{"a":3}}', 'expected names of .safetensors files in weight_map, got none'],
    ['null', 'expected names of .safetensors files in weight_map, got none'],
    ['{"weight_map":{"a":"model-9.safetensors"}}', 'expected a safetensors file'],
    [
      '{"weight_map":{"a":"model.safetensors","b":"model-1.safetensors"}}',
      'model.norm.weight: expected each tensor once, got it twice',
    ],
  ])('the index %s is refused', async (text, message) => {
    writeFileSync(join(model, index), text);
    try {
      await expect(loadModel(model)).rejects.toThrow(message);
    } finally {
      rmSync(join(model, index));
    }
  });
});
