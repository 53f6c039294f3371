import { type Example, labelGold, numberGold } from '@emotune/affect';
import { Tokenizer, trainBpe } from '@emotune/text';
import { expect, it } from 'vitest';
import { affectiveEmbeddings } from './affective-embeddings.js';

const words = ['wonderful', 'lovely', 'awful', 'nasty', 'table', 'often'];
const tokenizer = Tokenizer.parse(
  trainBpe(
    words.map((word) => ` ${word}`.repeat(9)),
    { vocabSize: 320, specialTokens: ['<s>', '</s>'] },
  ),
);
const common = { language: 'en', emotion: null };

function example(i: number): Example {
  const good = i % 2 === 0;
  const second = Math.floor(i / 4) % 2;
  const text = `${words[good ? second : 2 + second]} ${words[4 + (i % 3 === 0 ? 1 : 0)]}`;
  const id = `row-${i}`;
  return i % 4 < 2
    ? {
        ...common,
        id,
        text,
        source: 'labelled',
        task: 'sentiment-classification',
        scale: null,
        labelSet: ['negative', 'positive'],
        multiLabel: false,
        gold: labelGold([good ? 'positive' : 'negative']),
      }
    : {
        ...common,
        id,
        text,
        source: 'rated',
        task: 'sentiment-regression',
        scale: { low: 0, high: 1 },
        labelSet: [],
        multiLabel: false,
        gold: numberGold(good ? 0.9 : 0.1),
      };
}

it('begin alike where tokens go with the same answers', () => {
  const width = 64;
  const examples = Array.from({ length: 400 }, (_, i) => example(i));
  const table = affectiveEmbeddings(examples, tokenizer, { width, seed: 1 });
  expect(table.length).toBe(tokenizer.vocabSize * width);
  const of = (word: string) => {
    const ids = tokenizer.encode(` ${word}`);
    expect(ids.length).toBe(1);
    return table.subarray(ids[0] * width, (ids[0] + 1) * width);
  };
  const cosine = (a: Float32Array, b: Float32Array) => {
    const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * y[i], 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  expect(cosine(of('wonderful'), of('lovely'))).toBeGreaterThan(0.5);
  expect(cosine(of('awful'), of('nasty'))).toBeGreaterThan(0.5);
  expect(cosine(of('lovely'), of('nasty'))).toBeLessThan(-0.3);
  expect(Math.abs(cosine(of('table'), of('lovely')))).toBeLessThan(0.5);
  // Padding and bytes that never occur have noise alone: a root mean square of 0.02.
  const pad = table.subarray(0, width);
  expect(Math.sqrt(pad.reduce((sum, x) => sum + x * x, 0) / width)).toBeCloseTo(0.02, 2);
  expect(affectiveEmbeddings(examples, tokenizer, { width, seed: 1 })).toEqual(table);
});
