import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, Rng, systemClock } from '@emotune/base';
import { initialTensors, modelParameters, parseConfig } from '@emotune/models';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Interrupted } from './failures.js';
import { type Pretraining, packDocuments, pretrain, pretrainSpec, smallConfig } from './pretrain.js';
import { withExecutor } from './with-executor.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-pretrain-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const tiny = parseConfig({
  model_type: 'llama',
  vocab_size: 16,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
  eos_token_id: 2,
});

/** Counting up from a random start: the last token tells the next, unless the document ends. */
const documents = Array.from({ length: 200 }, (_, i) => {
  const start = Rng.of('document', i).int(12);
  return Int32Array.from({ length: 12 }, (_, t) => 4 + ((start + t) % 12));
});

const spec = parse(pretrainSpec, {
  tokens: 40_000,
  sequence: 32,
  optimizer: { learningRate: 0.01 },
  heldOut: 0.1,
  validateEvery: 10_000,
});

const run = (given: typeof documents, hooks: Partial<Pretraining> = {}) =>
  withExecutor(spec, (executor) =>
    pretrain({
      executor,
      clock: systemClock,
      model: { config: tiny, tensors: initialTensors(tiny, spec.seed) },
      documents: given,
      spec,
      ...hooks,
    }),
  );

it('packs documents so that every token but the first is predicted once', () => {
  const rows = packDocuments([Int32Array.of(5, 6, 7), Int32Array.of(8, 9)], {
    sequence: 3,
    eos: 2,
    name: 'x',
  });
  expect(rows.map(({ id, tokens }) => [id, [...tokens]])).toEqual([
    ['x-0', [5, 6, 7]],
    ['x-1', [7, 2, 8]],
    ['x-2', [8, 9, 2]],
  ]);
});

it('learns, and resumed has the same weights to the bit', async () => {
  const losses: number[] = [];
  const straight = await run(documents, {
    onProgress: ({ heldOutLoss }) => {
      if (heldOutLoss !== undefined) losses.push(heldOutLoss);
      return 'continue';
    },
  });
  expect(losses.length).toBe(4);
  // From ln 16 = 2.77 nats. Knowing only the last token costs ln(12)/13 for starts and H(1/13) for ends: 0.46.
  expect(straight.heldOutLoss).toBeLessThan(0.6);
  expect([...straight.model.tensors.keys()]).toEqual(modelParameters(tiny).map(({ name }) => name));

  const abort = new AbortController();
  const interrupted = run(documents, {
    checkpoints: folder,
    signal: abort.signal,
    onProgress: ({ step }) => {
      if (step === 70) abort.abort();
      return 'continue';
    },
  });
  await expect(interrupted).rejects.toThrow(Interrupted);
  const resumed = await run(documents, { checkpoints: folder });
  expect(resumed.heldOutLoss).toBe(straight.heldOutLoss);
  for (const [name, { data }] of straight.model.tensors)
    expect(resumed.model.tensors.get(name)!.data).toEqual(data);
});

it('refuses text that does not fill a block', async () => {
  await expect(run(documents.slice(0, 2))).rejects.toThrow(
    'documents: expected at least 32 tokens to train on, got 24',
  );
});

it.each(['llama', 'opt', 'bloom'] as const)('shapes of %s have the same blocks', (family) => {
  const ids = { vocabSize: 8000, bos: 1, eos: 2, pad: 0 };
  const config = smallConfig(family, ids, { width: 192, layers: 3 });
  const count = modelParameters(config).reduce((n, { shape }) => n + shape.reduce((a, d) => a * d, 1), 0);
  // Embeddings and 3 layers of 12 · 192² are 2.86 M; OPT's positions are 0.1 M more.
  expect(count).toBeGreaterThan(2.86e6);
  expect(count).toBeLessThan(3e6);
});
