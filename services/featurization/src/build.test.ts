import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labelGold, lexiconsFile, parseLexicons, type SourceExample, splits } from '@emotune/affect';
import { FolderStore } from '@emotune/objects';
import { decodeShard, encodeExamples } from '@emotune/records';
import { Tokenizer } from '@emotune/text';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type BuiltFeatures, buildFeatures } from './build.js';
import { planOf } from './spec.js';
import { examplesOf, tokenizerJson } from './testing.js';

let folder: string;
let objects: FolderStore;
let tokenizer: Tokenizer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-build-'));
  objects = await FolderStore.open(folder);
  tokenizer = Tokenizer.parse(tokenizerJson(400));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const examples = {
  train: examplesOf('train', 240),
  validation: examplesOf('validation', 30),
  test: examplesOf('test', 30),
};

async function built(
  name: string,
  rows: Readonly<Record<'train' | 'validation' | 'test', readonly SourceExample[]>>,
  changes: object = {},
): Promise<BuiltFeatures> {
  const prefix = `datasets/${name}/1`;
  for (const split of splits)
    await objects.put(`${prefix}/${split}.parquet`, await encodeExamples(rows[split]));
  const plan = planOf({
    name,
    dataset: name,
    baseModels: ['own'],
    withoutCues: false,
    inducedLexicon: true,
    lexicons: [],
    varyScales: false,
    untaughtScales: [],
    maxTokens: 0,
    seed: 0,
    limitTrain: 0,
    limitValidation: 0,
    limitTest: 0,
    labelBalance: 0,
    augmentations: [],
    ...changes,
  });
  return buildFeatures(plan, {
    objects,
    dataset: { version: '1', prefix },
    tokenizers: [{ tokenizer, baseModels: ['own'] }],
    lexicons: [],
    augmentation: {},
    onProgress: () => {},
  });
}

const text = async (key: string) => Buffer.from(await objects.get(key)).toString();

it('the induced lexicon lies beside the rows, is in the manifest with its hash, and names what it was induced from', async () => {
  const { prefix, tokenized } = await built('plain', examples);
  const lexicons = parseLexicons(await text(`${tokenized[0].prefix}/${lexiconsFile}`));
  expect(lexicons.map(({ name, source }) => [name, source])).toEqual([
    ['induced-en', 'train rows of dataset plain, version 1'],
  ]);
  const manifest = JSON.parse(await text(`${prefix}/manifest.json`));
  expect(manifest.files).toContainEqual(
    expect.objectContaining({
      path: expect.stringContaining(lexiconsFile),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    }),
  );
  const without = await built('without', examples, { inducedLexicon: false });
  expect(await objects.exists(`${without.tokenized[0].prefix}/${lexiconsFile}`)).toBe(false);
});

it('no row of validation or test tells anything to the lexicon, or to the cues of a train row', async () => {
  const lexiconOf = async ({ tokenized }: BuiltFeatures) => {
    const { lexicons } = JSON.parse(await text(`${tokenized[0].prefix}/${lexiconsFile}`));
    return lexicons.map((lexicon: object) => ({ ...lexicon, source: '' }));
  };
  const promptsOf = async ({ tokenized }: BuiltFeatures) =>
    decodeShard(await objects.get(`${tokenized[0].prefix}/train-00000.arrow`)).map(({ prompt }) => prompt);
  const before = await built('before', examples);
  const telling = (rows: readonly SourceExample[]) =>
    rows.map((row) =>
      row.task === 'emotion-classification'
        ? { ...row, text: `zebra ferry ${row.text}`, gold: labelGold(['surprise']) }
        : row,
    );
  const after = await built('after', {
    ...examples,
    validation: telling(examples.validation),
    test: telling(examples.test),
  });
  expect(await lexiconOf(after)).toEqual(await lexiconOf(before));
  expect(await promptsOf(after)).toEqual(await promptsOf(before));
});
