import { parseHubId } from '@emotune/hub';
import { expect, it } from 'vitest';
import { modelFiles } from './hub-files.js';

const chosen = (paths: readonly string[], id = 'hf:a/b') =>
  modelFiles(parseHubId(id, 'source'))(paths).sort();

it('takes safetensors and what stands beside them, and nothing twice in another format or precision', () => {
  expect(
    chosen([
      '.gitattributes',
      'README.md',
      'LICENSE',
      'config.json',
      'chat_template.jinja',
      'flax_model.msgpack',
      'generation_config.json',
      'merges.txt',
      'model.fp16.safetensors',
      'model.safetensors',
      'onnx/model.onnx',
      'onnx/config.json',
      'pytorch_model.bin',
      'small.gguf',
      'tf_model.h5',
      'tokenizer.json',
    ]),
  ).toEqual([
    'LICENSE',
    'README.md',
    'chat_template.jinja',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
  ]);
});

it('takes all parts of divided weights, with their index', () => {
  const parts = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const index = 'model.safetensors.index.json';
  expect(chosen(['config.json', ...parts, index])).toEqual(['config.json', ...parts, index].sort());
  // The same weights in one file beside an index that is not whole.
  expect(chosen(['config.json', parts[0], index, 'model.safetensors'])).toEqual([
    'config.json',
    'model.safetensors',
  ]);
});

it('takes an adapter, and the one GGUF file or the one that is named', () => {
  const adapter = ['adapter_config.json', 'adapter_model.safetensors'];
  expect(chosen([...adapter, 'adapter_model.bin', 'tokenizer.json'])).toEqual([...adapter, 'tokenizer.json']);
  expect(chosen(['README.md', 'a.gguf'])).toEqual(['README.md', 'a.gguf']);
  expect(chosen(['a.gguf', 'quants/b.gguf'], 'hf:a/b:quants/b.gguf')).toEqual(['quants/b.gguf']);
});

it.each([
  [['a.gguf', 'b.gguf'], 'hf:a/b', 'name one as hf:a/b@main:FILE, of a.gguf, b.gguf'],
  [['a.gguf'], 'hf:a/b:c.gguf', 'which has a.gguf'],
  [['config.json', 'pytorch_model.bin'], 'hf:a/b', 'hf:a/b@refs/pr/NUMBER'],
  [['README.md'], 'hf:a/b', 'expected model.safetensors, an adapter or a GGUF file'],
])('%j of %s cannot be used', (paths, id, want) => {
  expect(() => chosen(paths, id)).toThrow(want);
});
