import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  labelGold,
  numberGold,
  paraphrases,
  questionOf,
  renderPrompt,
  type SourceExample,
  type Split,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import { runCommand } from '@emotune/cli/testing';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { trainBpe } from '@emotune/text';
import { Interrupted } from '@emotune/training';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { labCommands } from '../index.js';
import { type AblationOptions, benchAblation } from './ablation.js';
import { ablationText } from './text.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-ablation-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function examplesOf(split: Split, count: number): SourceExample[] {
  const rng = Rng.of('ablation rows', split);
  return Array.from({ length: count }, (_, i): SourceExample => {
    const good = i % 2 === 0;
    const text = `the ${good ? 'lovely' : 'awful'} soup of ${split} day ${i}`;
    const common = {
      ...{ id: `own/${split}/${i}`, source: 'own', originalId: `${i}`, licence: 'MIT', language: 'en' },
      ...{ text, emotion: null, multiLabel: false, split },
    };
    return i % 4 < 2
      ? {
          ...common,
          task: 'sentiment-classification',
          gold: labelGold([good ? 'positive' : 'negative']),
          labelSet: ['negative', 'neutral', 'positive'],
          scale: null,
        }
      : {
          ...common,
          task: 'sentiment-regression',
          gold: numberGold((good ? 0.6 : 0) + 0.4 * rng.uniform()),
          labelSet: [],
          scale: { low: -4, high: 4 },
        };
  });
}

const rows = {
  train: examplesOf('train', 80),
  validation: examplesOf('validation', 24),
  test: examplesOf('test', 16),
};

beforeAll(async () => {
  const prompts = rows.train.map((row, i) =>
    renderPrompt(questionOf(row, { cues: 'lovely', paraphrase: i % paraphrases })),
  );
  const tokenizer = trainBpe(prompts, { vocabSize: 420, specialTokens: ['<s>', '</s>'] });
  const config = parseConfig({
    ...{
      model_type: 'llama',
      vocab_size: 420,
      hidden_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
    },
    ...{ intermediate_size: 32, max_position_embeddings: 256, tie_word_embeddings: true },
    ...{ bos_token_id: 0, eos_token_id: 1 },
  });
  await saveModel(
    join(folder, 'base'),
    { config, tensors: initialTensors(config, 1) },
    { files: { 'tokenizer.json': JSON.stringify(tokenizer) } },
  );
});

const options = (signal: AbortSignal, onRun: AblationOptions['onRun'] = () => {}): AblationOptions => ({
  ...{ model: join(folder, 'base'), runs: join(folder, 'runs.jsonl'), rows, seeds: 2 },
  ...{ only: ['mixout', 'scale and label diversity'], tokens: 4000, trainRows: 40, method: 'full' },
  ...{ learningRate: 0.01, batchTokens: 512, threads: 1, signal, onRun, onProgress: () => {} },
});

it('runs each variant once, goes on where it was stopped, and tells what each feature is worth', async () => {
  const stop = new AbortController();
  const stopped = benchAblation(options(stop.signal, (_, __, done) => done === 4 && stop.abort()));
  await expect(stopped).rejects.toBeInstanceOf(Interrupted);
  const lines = () => readFileSync(join(folder, 'runs.jsonl'), 'utf8').trim().split('\n');
  const first = lines();
  expect(first).toHaveLength(4);
  const started: string[] = [];
  const figures = await benchAblation(
    options(new AbortController().signal, (variant, seed) => void started.push(`${variant} ${seed}`)),
  );
  expect(lines().slice(0, 4)).toEqual(first);
  expect(lines().map((line) => [JSON.parse(line).variant, JSON.parse(line).seed])).toEqual(
    [1, 2].flatMap((seed) =>
      ['reference', 'mixout', 'scale and label diversity'].map((variant) => [variant, seed]),
    ),
  );
  expect(started).toHaveLength(6);
  expect(figures.features.map(({ name, test }) => [name, test.seeds])).toEqual([
    ['mixout', [1, 2]],
    ['scale and label diversity', [1, 2]],
  ]);
  const run = JSON.parse(lines()[0]);
  expect(run.answers.test.usual).toHaveLength(16);
  // Each number on another scale, an inverted one, in words and in another wording; each label by another name and in another wording.
  expect(run.answers.test.otherwise).toHaveLength(8 * 4 + 8 * 2);
  for (const { answer } of run.answers.test.otherwise.filter(
    ({ labelSet }: { labelSet?: string[] }) => labelSet,
  ))
    for (const label of answer) expect(['negative', 'neutral', 'positive']).toContain(label);
  // Half of the validation texts calibrate.
  expect(run.answers.validation.usual.length).toBeLessThanOrEqual(24);
  const text = ablationText(figures);
  for (const wanted of ['base ', 'mixout', 'full, 4000 tokens', 'not shown', 'sentiment-regression'])
    expect(text).toContain(wanted);
});

it('refuses a feature that there is none of, and a rate of 0', async () => {
  const bench = (...args: string[]) =>
    runCommand(['bench', 'ablation', ...args], { commands: labCommands, cwd: folder });
  const unknown = await bench('--only', 'luck');
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringMatching(/--only: expected some of lexicon cues, .*, got luck/),
  ]);
  const rate = await bench('--learning-rate', '0');
  expect([rate.code, rate.stderr]).toEqual([
    2,
    expect.stringContaining('--learning-rate: expected a number above 0, got 0'),
  ]);
});
