import { answerTokens } from '@emotune/affect';
import { Tokenizer, trainBpe } from '@emotune/text';
import { describe, expect, it } from 'vitest';
import { numberRows } from './number-rows.js';
import { featureRow } from './testing.js';

const tokenizer = Tokenizer.parse(trainBpe(['the view'], { vocabSize: 300, specialTokens: ['<s>', '</s>'] }));
const regression = (id: string, answer: string, more: object = {}) => ({
  ...featureRow(id, 'sentiment-regression', [5, 6, ...answerTokens(tokenizer, answer)], 2),
  ...{ answer, value: 0.612, scaleLow: 0, scaleHigh: 1, decimals: 2, ...more },
});

describe('numberRows', () => {
  it('gives rows of a scale its numbers, and other rows nothing', () => {
    const rows = [
      regression('a', '0.61'),
      regression('b', '0.10'),
      regression('c', '4', { scaleHigh: 5, decimals: 0 }),
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
