import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerTokens, numberGold } from '@emotune/affect';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeShard } from '@emotune/records';
import { Tokenizer, trainBpe } from '@emotune/text';
import { parseSettings } from '@emotune/training';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { numberRows } from './number-rows.js';
import { featureRow } from './testing.js';
import { trainOnce } from './tune.js';

const tokenizer = Tokenizer.parse(trainBpe(['the view'], { vocabSize: 300, specialTokens: ['<s>', '</s>'] }));
const regression = (id: string, answer: string, more: object = {}) => ({
  ...featureRow(id, 'sentiment-regression', [5, 6, ...answerTokens(tokenizer, answer)], 2),
  answer,
  gold: numberGold(0.612),
  scale: { low: 0, high: 1 },
  decimals: 2,
  ...more,
});

describe('numberRows', () => {
  it('gives rows of a scale its numbers, and other rows nothing', () => {
    const rows = [
      regression('a', '0.61'),
      regression('b', '0.10'),
      regression('c', '4', { scale: { low: 0, high: 5 }, decimals: 0 }),
      featureRow('d', 'emotion-classification', [5, 6, 7]),
    ];
    const [a, b, c, d] = numberRows(rows, tokenizer);
    expect(a.number!.value).toBe(0.612);
    expect(a.number!.choices).toBe(b.number!.choices);
    const { candidates, values, digits } = a.number!.choices;
    expect(candidates).toHaveLength(101);
    expect(candidates.map((tokens) => tokenizer.decode(tokens))[61]).toBe('0.61');
    expect(values[61]).toBeCloseTo(0.61, 12);
    expect(digits[0].size).toBe(10);
    expect(c.number!.choices.candidates).toHaveLength(6);
    expect(d).toBe(rows[3]);
  });

  it('refuses answers that another tokenizer made', () => {
    const other = { ...regression('a', '0.61'), tokens: Int32Array.of(5, 6, 7, 8, 1) };
    expect(() => numberRows([other], tokenizer)).toThrow(
      'features.a.tokens: expected "0.61" as the model\'s tokenizer has it',
    );
  });
});

describe('losses of numbers', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'emotune-numbers-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** The number follows from the prompt's last token. */
  const rows = Array.from({ length: 60 }, (_, i) => {
    const answer = (i % 6) / 5;
    const tokens = [20 + (i % 7), 40 + (i % 6), ...answerTokens(tokenizer, answer.toFixed(2))];
    const row = featureRow(`r${i}`, 'emotion-regression', tokens, 2);
    return {
      ...row,
      answer: answer.toFixed(2),
      gold: numberGold(answer),
      scale: { low: 0, high: 1 },
      decimals: 2,
    };
  });

  it.each([
    { regression: { name: 'raft', weight: 10, answerWeight: 0.1 } },
    { regression: { name: 'ordinal', answerWeight: 0.1 } },
    { numberTokens: { distance: 'squared' } },
  ])('train from feature shards: %j', async (loss) => {
    const config = parseConfig({
      model_type: 'llama',
      vocab_size: 300,
      hidden_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 32,
      max_position_embeddings: 64,
      tie_word_embeddings: true,
      bos_token_id: 0,
      eos_token_id: 1,
      pad_token_id: 2,
    });
    const json = JSON.stringify(trainBpe(['the view'], { vocabSize: 300, specialTokens: ['<s>', '</s>'] }));
    const baseModel = join(folder, 'base');
    await saveModel(
      baseModel,
      { config, tensors: initialTensors(config, 7) },
      { files: { 'tokenizer.json': json } },
    );
    const features = join(folder, 'features');
    mkdirSync(features);
    writeFileSync(join(features, 'train-00000.arrow'), encodeShard(rows));
    const losses: number[] = [];
    await trainOnce({
      baseModel,
      features,
      out: join(folder, 'out'),
      settings: parseSettings({ tokens: 40_000, batchTokens: 512, learningRate: 0.01, loss }),
      onMeasurement: ({ trainLoss }) => {
        losses.push(trainLoss);
        return 'continue';
      },
    });
    expect(losses.at(-1)).toBeLessThan(losses[0] * 0.8);
  });
});
