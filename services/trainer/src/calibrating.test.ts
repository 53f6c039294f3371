import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labelGold, numberGold } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import type { FeatureRow } from '@emotune/records/features';
import { trainBpe } from '@emotune/text';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { calibrate, validationParts } from './calibrating.js';
import { featureRow } from './testing.js';

const sentiments = ['negative', 'positive'];
const asked = (id: string, text: string, labels: readonly string[]): FeatureRow => ({
  ...featureRow(id, 'sentiment-classification', [1, 2, 3]),
  text,
  labelSet: sentiments,
  gold: labelGold(labels),
});
const rated = (id: string, text: string, value: number): FeatureRow => ({
  ...featureRow(id, 'sentiment-regression', [1, 2, 3]),
  text,
  scale: { low: -4, high: 4 },
  decimals: 1,
  gold: numberGold(value),
});
/** Each text is asked twice. */
function rowsAbout(texts: number): FeatureRow[] {
  const rng = Rng.of('texts');
  return Array.from({ length: texts }, (_, i) => [
    asked(`c${i}`, `text number ${i}`, [sentiments[rng.int(2)]]),
    rated(`n${i}`, `Text number ${i}`, rng.uniform()),
  ]).flat();
}

it('half of the texts are kept for calibration, with all that is asked about them', () => {
  const rows = rowsAbout(80);
  const { open, held } = validationParts(rows);
  expect(held).toHaveLength(80);
  expect([...open, ...held].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
    [...rows].sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
  const texts = (of: readonly FeatureRow[]) => new Set(of.map(({ text }) => text.toLowerCase()));
  expect([...texts(open)].filter((text) => texts(held).has(text))).toEqual([]);
  expect(validationParts([...rows])).toEqual({ open, held });
});

it('where half of the texts are too few to calibrate anything, all are trained on', () => {
  const rows = rowsAbout(40);
  expect(validationParts(rows)).toEqual({ open: rows, held: [] });
  expect(validationParts([])).toEqual({ open: [], held: [] });
});

let root: string;
let folder: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'emotune-calibrating-'));
  folder = join(root, 'model');
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: 300,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 400,
    tie_word_embeddings: true,
  });
  const tokenizer = trainBpe(['Task: Text: Cues: negative, positive'], {
    vocabSize: 300,
    specialTokens: ['<s>', '</s>'],
  });
  await saveModel(
    folder,
    { config, tensors: initialTensors(config, 3) },
    { files: { 'tokenizer.json': JSON.stringify(tokenizer) } },
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('fits each kind of question on what the model says of the held-out rows', async () => {
  const { held } = validationParts(rowsAbout(80));
  const calibrations = await calibrate({ folder }, { cues: true }, held);
  expect(calibrations.map(({ task, n }) => [task, n])).toEqual([
    ['sentiment-classification', 40],
    ['sentiment-regression', 40],
  ]);
  const [classes, numbers] = calibrations;
  expect(Object.keys(classes.labels!.thresholds)).toEqual(sentiments);
  // A model of random weights says nothing: what is left is the mean of the golds.
  const golds = held.flatMap(({ gold }) => (gold.value === null ? [] : [gold.value]));
  const mean = golds.reduce((sum, gold) => sum + gold, 0) / golds.length;
  expect(Math.abs(numbers.numbers!.curve.y[0] - mean)).toBeLessThan(0.2);
  expect(await calibrate({ folder }, { cues: true }, [])).toEqual([]);
  const gone = AbortSignal.abort(new Error('nobody waits'));
  await expect(calibrate({ folder }, { cues: true }, held, gone)).rejects.toThrow('nobody waits');
});
