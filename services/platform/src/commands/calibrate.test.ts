import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { numberGold, type SourceExample, teachingJson } from '@emotune/affect';
import { runCommand } from '@emotune/cli/testing';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeExamples } from '@emotune/records';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { commands } from '../commands.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-calibrate-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const row = (i: number, emotion: string): SourceExample => ({
  id: `s/${emotion}${i}`,
  source: 's',
  originalId: `${i}`,
  licence: 'MIT',
  language: 'en',
  task: 'emotion-regression',
  text: `ferry number ${i}`,
  emotion,
  scale: { low: 1, high: 5 },
  labelSet: [],
  multiLabel: false,
  gold: numberGold((i % 10) / 10),
  split: null,
});

beforeAll(async () => {
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: 8000,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 400,
    tie_word_embeddings: true,
  });
  const shipped = join(import.meta.dirname, '..', '..', '..', '..', 'models', 'emotune-llama-4m');
  const teaching = { endTokenId: 1, cues: false, inquiries: [], calibrations: [] };
  const files = {
    'tokenizer.json': readFileSync(join(shipped, 'tokenizer.json'), 'utf8'),
    'tokenizer_config.json': readFileSync(join(shipped, 'tokenizer_config.json'), 'utf8'),
    'emotune.json': teachingJson(teaching),
  };
  await saveModel(join(folder, 'model'), { config, tensors: initialTensors(config, 3) }, { files });
  const rows = [
    ...Array.from({ length: 32 }, (_, i) => row(i, 'joy')),
    ...Array.from({ length: 4 }, (_, i) => row(i, 'fear')),
  ];
  writeFileSync(join(folder, 'validation.parquet'), encodeExamples(rows));
});

const calibrate = (...args: string[]) => runCommand(['calibrate', ...args], { commands, cwd: folder });

it('fits what rows are enough for, and says of what they are not', async () => {
  const { code, stdout, stderr } = await calibrate('model', '--data', 'validation.parquet');
  expect(code, stderr).toBe(0);
  expect(stdout).toBe(
    'emotion-regression, joy: calibrated on 32 rows\nemotion-regression, fear: not calibrated, 4 rows are too few\n',
  );
  const { calibrations } = JSON.parse(readFileSync(join(folder, 'model', 'emotune.json'), 'utf8'));
  expect(calibrations.map((each: { numbers: unknown }) => each.numbers !== null)).toEqual([true, false]);
  const json = await calibrate('model', '--data', 'validation.parquet', '--json');
  expect(JSON.parse(json.stdout).kinds[0]).toEqual({
    task: 'emotion-regression',
    emotion: 'joy',
    labels: [],
    rows: 32,
    fitted: true,
  });
});

it('says where there is nothing to calibrate on', async () => {
  const { code, stderr } = await calibrate('model', '--data', 'lost.parquet');
  expect([code, stderr]).toEqual([
    3,
    expect.stringContaining('expected a folder of features or a .parquet file'),
  ]);
});
