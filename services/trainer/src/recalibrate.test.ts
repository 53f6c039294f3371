import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { numberGold, parseTeaching } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeExamples, encodeShard, type FeatureRow } from '@emotune/records';
import { trainBpe } from '@emotune/text';
import { parseSettings } from '@emotune/training';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recalibrate } from './recalibrate.js';
import { featureRow } from './testing.js';
import { trainOnce } from './tune.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-recalibrate-'));
const at = (...path: string[]) => join(folder, ...path);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Golds about `mean`. */
function rated(count: number, mean: number): FeatureRow[] {
  const rng = Rng.of('rated', mean);
  return Array.from({ length: count }, (_, i) => ({
    ...featureRow(`n${i}`, 'sentiment-regression', [5, 6, 7, 8, 1]),
    text: `text number ${i}`,
    scale: { low: 0, high: 1 },
    decimals: 2,
    gold: numberGold(mean + (rng.uniform() - 0.5) / 5),
  }));
}
const written = (model: string) => parseTeaching(readFileSync(join(model, 'emotune.json'), 'utf8'));
const rowsOf = (model: string) => written(model).calibrations.map(({ n }) => n);

beforeAll(async () => {
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: 300,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 400,
    tie_word_embeddings: true,
    eos_token_id: 1,
  });
  const tokenizer = trainBpe(['Task: Text: Cues: sentiment'], {
    vocabSize: 300,
    specialTokens: ['<s>', '</s>'],
  });
  const files = { 'tokenizer.json': JSON.stringify(tokenizer) };
  await saveModel(at('base'), { config, tensors: initialTensors(config, 3) }, { files });
  mkdirSync(at('features'));
  const shard = (split: string) => at('features', `${split}-00000.arrow`);
  writeFileSync(shard('train'), encodeShard(rated(40, 0.8)));
  writeFileSync(shard('validation'), encodeShard(rated(80, 0.2)));
  const source = { originalId: '1', licence: 'MIT', split: null };
  writeFileSync(
    at('other.parquet'),
    encodeExamples(rated(50, 0.6).map((row) => ({ ...row, ...source, source: 's' }))),
  );
});

describe.each(['full', 'lora'])('a model that %s training left', (method) => {
  const out = at(method);
  const settings = parseSettings({ tokens: 400, batchTokens: 64, validationExamples: 20, method });

  it('is calibrated on the half of the validation texts that chose nothing, and anew on what is given', async () => {
    const { calibrations } = await trainOnce({
      baseModel: at('base'),
      features: at('features'),
      out,
      settings,
    });
    expect(calibrations.map(({ task, n }) => [task, n])).toEqual([['sentiment-regression', 40]]);
    expect(written(out).calibrations).toEqual(calibrations);
    await recalibrate({ model: out, data: at('other.parquet'), threads: 1 });
    expect(rowsOf(out)).toEqual([50]);
    expect(written(out).calibrations[0].numbers).not.toEqual(calibrations[0].numbers);
    await recalibrate({ model: out, data: at('features'), threads: 1 });
    expect(written(out).calibrations).toEqual(calibrations);
    expect(written(out).inquiries.map(({ rows }) => rows)).toEqual([40]);
  });
});

it('says what is missing, and leaves the folder as it was', async () => {
  const before = readFileSync(at('lora', 'emotune.json'), 'utf8');
  const lora = (more: object) =>
    recalibrate({ model: at('lora'), data: at('other.parquet'), threads: 1, ...more });
  await expect(lora({ data: at('nothing') })).rejects.toThrow(
    'expected a folder of features or a .parquet file',
  );
  writeFileSync(at('few.parquet'), encodeExamples([]));
  await expect(lora({ data: at('few.parquet') })).rejects.toThrow('data: expected 30 rows');
  await expect(lora({ model: at('base') })).rejects.toThrow('expected emotune.json in');
  await expect(lora({ signal: AbortSignal.abort(new Error('nobody waits')) })).rejects.toThrow(
    'nobody waits',
  );
  renameSync(at('base'), at('moved'));
  await expect(lora({})).rejects.toThrow(/base: expected the checkpoint folder.*the adapter names/);
  expect(readFileSync(at('lora', 'emotune.json'), 'utf8')).toBe(before);
  await lora({ base: at('moved') });
  expect(rowsOf(at('lora'))).toEqual([50]);
});
