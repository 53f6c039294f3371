import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  explain,
  labelGold,
  paraphrases,
  questionOf,
  renderPrompt,
  type SourceExample,
  type Split,
  splits,
} from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { Rng } from '@emotune/base';
import { buildFeatures, planOf } from '@emotune/featurization';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { encodeExamples } from '@emotune/records';
import { Tokenizer, trainBpe } from '@emotune/text';
import { trainOnce } from '@emotune/trainer';
import { parseSettings } from '@emotune/training';
import { afterAll, beforeAll, expect, it } from 'vitest';

/** Words that VADER rates as they are used here, and words that it does not know: one text in three is without any of its. */
const words = {
  positive: ['lovely', 'great', 'charming', 'sunlit', 'homely'],
  negative: ['awful', 'horrible', 'nasty', 'leaky', 'mouldy'],
};
const things = ['soup', 'bridge', 'lamp', 'garden', 'ticket', 'coat', 'room', 'boat', 'kitchen', 'road'];
const labelSet = ['negative', 'positive'] as const;

function examplesOf(split: Split, count: number): SourceExample[] {
  return Array.from({ length: count }, (_, i) => {
    const rng = Rng.of('dropout', split, i);
    const label = labelSet[i % 2];
    const text = `the ${things[rng.int(things.length)]} near the ${things[rng.int(things.length)]} was ${words[label][rng.int(5)]}`;
    return {
      id: `own/${split}/${i}`,
      source: 'own',
      originalId: `${split}-${i}`,
      licence: 'Apache-2.0',
      language: 'en',
      task: 'sentiment-classification',
      text,
      emotion: null,
      gold: labelGold([label]),
      labelSet: [...labelSet],
      multiLabel: false,
      scale: null,
      split,
    };
  });
}

const rows = {
  train: examplesOf('train', 600),
  validation: examplesOf('validation', 60),
  test: examplesOf('test', 120),
};
let folder: string;
let objects: FolderStore;
let tokenizer: Tokenizer;
const base = () => join(folder, 'base');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-dropout-'));
  objects = await FolderStore.open(join(folder, 'objects'));
  for (const split of splits)
    await objects.put(`datasets/own/1/${split}.parquet`, await encodeExamples(rows[split]));
  const prompts = rows.train.map((row, i) =>
    renderPrompt(questionOf(row, { cues: explain(row.text).cueText, paraphrase: i % paraphrases })),
  );
  const json = trainBpe(prompts, { vocabSize: 480, specialTokens: ['<s>', '</s>'] });
  tokenizer = Tokenizer.parse(json);
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: 480,
    hidden_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 96,
    max_position_embeddings: 160,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 1,
  });
  await saveModel(
    base(),
    { config, tensors: initialTensors(config, 7) },
    { files: { 'tokenizer.json': JSON.stringify(json) } },
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The share of test answers that are right, with cues and without them, of a model that was taught with such a dropout. */
async function taught(cueDropout: number): Promise<{ with: number; without: number }> {
  const name = `dropout-${cueDropout * 100}`;
  const plan = planOf({
    name,
    dataset: 'own',
    baseModels: ['base'],
    withoutCues: false,
    inducedLexicon: false,
    lexicons: [],
    varyScales: false,
    untaughtScales: [],
    maxTokens: 0,
    seed: 1,
    limitTrain: 0,
    limitValidation: 0,
    limitTest: 0,
    labelBalance: 0,
    augmentations: [],
    cueDropout,
  });
  const { tokenized } = await buildFeatures(plan, {
    objects,
    dataset: { version: '1', prefix: 'datasets/own/1' },
    tokenizers: [{ tokenizer, baseModels: ['base'] }],
    lexicons: [],
    augmentation: {},
    onProgress: () => {},
  });
  await using features = await objects.folder(tokenized[0].prefix);
  const out = join(folder, name);
  await trainOnce({
    baseModel: base(),
    features: features.path,
    out,
    settings: parseSettings({
      tokens: 150_000,
      batchTokens: 1024,
      learningRate: 3e-3,
      validationExamples: 60,
    }),
  });
  const answerer = await Answerer.open({ folder: out });
  const right = async (cued: boolean) => {
    const questions = rows.test.map((row) =>
      questionOf(row, { cues: cued ? explain(row.text).cueText : '', paraphrase: 0 }),
    );
    const answers = await answerer.ask(questions);
    return (
      answers.filter(({ labels }, i) => labels[0] === rows.test[i].gold.labels[0]).length / answers.length
    );
  };
  const shares = { with: await right(true), without: await right(false) };
  await answerer.close();
  return shares;
}

it('a model that is taught without cues now and then reads the text, too; one that never is leans on them', async () => {
  const [never, often] = [await taught(0), await taught(0.5)];
  expect(never.with).toBeGreaterThan(0.9);
  expect(often.with).toBeGreaterThan(0.9);
  expect(often.without).toBeGreaterThan(0.9);
  expect(never.without).toBeLessThan(often.without - 0.1);
});
