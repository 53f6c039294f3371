import { parseConfig } from '@emotune/models';
import { expect, it } from 'vitest';
import { shortageOf } from './disk-space.js';
import { planOf } from './spec.js';
import { anywhere, experimentSpec } from './testing.js';

const plan = planOf(
  experimentSpec({ baseModels: [{ architecture: 'opt', model: 'base-opt', ...anywhere }] }),
);
/** 8,000,000 weights of embeddings, and few besides: 32 MB in single precision. */
const config = parseConfig({
  model_type: 'opt',
  vocab_size: 62_500,
  hidden_size: 128,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  ffn_dim: 32,
  max_position_embeddings: 64,
});
const of = (freeMB: number, kind: 'search' | 'final' = 'search', parameters = {}) =>
  shortageOf(
    plan,
    [{ architecture: 'opt', config }],
    freeMB * 1e6,
    'file:///data/objects',
  )({
    number: 3,
    kind,
    parameters: { method: 'full', optimizer: 'adamw', ...parameters },
  });

it('says how much a trial may write, and how much of that is missing', () => {
  // Three checkpoints of the weights, the best ones and two moments.
  expect(of(500)).toBe('');
  expect(of(300)).toMatch(
    /^DiskFull: trial 3 waits for 1\d\d MiB more of space: it may write 3\d\d MiB to file:\/\/\/data\/objects, where 287 MiB are free/,
  );
  expect(of(430)).toBe('');
  // A model is stored twice.
  expect(of(430, 'final')).toMatch(/^DiskFull: /);
  expect(of(40, 'search', { method: 'lora', loraRank: 2 })).toBe('');
});

it('holds up no trial whose base model or settings it cannot plan with: its trainer says more', () => {
  const unknown = shortageOf(plan, [], 0, '');
  expect(unknown({ number: 0, kind: 'search', parameters: {} })).toBe('');
  expect(of(0, 'search', { method: 'none' })).toBe('');
});
