import type { tuning } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import { type CardFacts, modelCard } from './model-card.js';

const lineage: tuning.Lineage = {
  experiment: 'moods-search',
  trial: 7,
  baseModel: 'small',
  baseVersion: 'aa11',
  dataset: 'moods',
  datasetVersion: 'dd22',
  features: 'moods-features',
  featuresVersion: 'ff33',
  parameters: { learningRate: 0.002, method: 'lora' },
  seed: 3,
  tokens: 40_000,
  tokensPerSecond: 900,
  codeVersion: '0.1.0',
  sources: [
    { name: 'tweets', licence: 'MIT', url: 'https://example.org/t', rows: 120 },
    { name: 'bank', licence: 'CC-BY-SA-4.0', url: '', rows: 80 },
    { name: 'my | own', licence: 'unknown', url: '', rows: 30 },
  ],
  baseLicence: 'apache-2.0',
  baseSource: 'hf:someone/small@main',
};

const facts: CardFacts = {
  name: 'moods',
  version: 'bb44',
  family: 'opt',
  parameters: 4_304_256,
  format: 'peft',
  licence: 'apache-2.0',
  base: lineage.baseSource,
  lineage,
  teaching: {
    endTokenId: 1,
    cues: true,
    inquiries: [
      {
        task: 'sentiment-regression',
        emotion: null,
        scale: { low: 1, high: 5 },
        labelSet: [],
        multiLabel: false,
        rows: 90,
        threshold: 0.5,
        languages: ['en'],
        skill: 'better',
      },
      {
        task: 'emotion-classification',
        emotion: null,
        scale: null,
        labelSet: ['awe', 'calm'],
        multiLabel: true,
        rows: 60,
        threshold: 0.4,
        languages: ['en'],
        skill: 'unknown',
      },
    ],
    calibrations: [],
  },
  results: {
    dataset: 'moods',
    datasetVersion: 'dd22',
    split: 'test',
    tasks: [
      {
        task: 'sentiment-regression',
        n: 25,
        metrics: { pearson: 0.71239, nll: 1.5 },
        intervals: { pearson: { low: 0.5, high: 0.85 } },
      },
    ],
  },
};

describe('a model card', () => {
  it('has front matter as the Hub reads it', () => {
    expect(modelCard(facts).split('\n---\n')[0].split('\n')).toEqual([
      '---',
      'base_model: "someone/small"',
      'license: apache-2.0',
      'library_name: peft',
      'pipeline_tag: text-generation',
      'model_name: "moods"',
      'tags:',
      '  - "emotune"',
      '  - "affective-computing"',
      '  - "sentiment-analysis"',
      '  - "emotion-recognition"',
      '  - "lora"',
      'metrics:',
      '  - "pearsonr"',
    ]);
  });

  it('tells lineage with licences, metrics with intervals, and the prompts', () => {
    const card = modelCard(facts);
    for (const line of [
      '| tweets | MIT | 120 | https://example.org/t |',
      '| my \\| own | unknown | 30 |  |',
      '| base model | small@aa11 |',
      '| base model from | hf:someone/small@main |',
      '| experiment | moods-search, trial 7 |',
      '| parameters | learningRate 0.002, method "lora" |',
      '| sentiment-regression | pearson | 0.7124 | 0.5 to 0.85 | 25 |',
      '| sentiment-regression | nll | 1.5 |  | 25 |',
      'How positive a text is, as a number. The answer is a number from 1 to 5.',
    ])
      expect(card).toContain(line);
    expect(card).toContain(
      'from 1 (most negative) to 5 (most positive). Text: {text} Cues: {cues}. Sentiment score:',
    );
    expect(card).toContain(
      'one or more of awe, calm, in alphabetical order with commas; a label counts from a probability of 0.4 on',
    );
  });

  it('of a model whose licence is not one of the Hub names it, and of a base alone says less', () => {
    const card = modelCard({
      ...facts,
      format: 'safetensors',
      licence: 'House rules',
      lineage: undefined,
      teaching: undefined,
      results: undefined,
    });
    expect(card).toContain('license: other\nlicense_name: "House rules"\nlibrary_name: transformers');
    expect(card).not.toContain('##');
    expect(card.endsWith('\n')).toBe(true);
  });
});
