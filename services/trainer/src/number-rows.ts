/** Rows whose answers lie on a scale, with every number or word of it, for losses that compare numbers. */
import { answerTokens, candidateTokens, digitTokens, numbersOn } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import type { FeatureRow } from '@emotune/records/features';
import type { Tokenizer } from '@emotune/text';
import type { NumberChoices, Row } from '@emotune/training';

/**
 * The rows, those of regression with their scale's numbers or words as the model's tokenizer has them.
 * @throws InvalidArgument naming a row whose answer was made with another tokenizer.
 */
export function numberRows(rows: readonly FeatureRow[], tokenizer: Tokenizer): (FeatureRow & Row)[] {
  const digits = digitTokens(tokenizer);
  const scales = new Map<string, NumberChoices>();
  const answers = new Map<string, string>();
  return rows.map((row) => {
    const { scale, decimals, labelSet, answer, tokens, answerStart } = row;
    const { value } = row.gold;
    if (value === null || scale === null) return row;
    const wanted = answers.get(answer) ?? answerTokens(tokenizer, answer).join();
    answers.set(answer, wanted);
    if (tokens.subarray(answerStart).join() !== wanted)
      throw InvalidArgument.at(
        `features.${row.id}.tokens`,
        `expected "${answer}" as the model's tokenizer has it: the features were made with another one`,
      );
    const key = JSON.stringify([scale.low, scale.high, decimals, labelSet]);
    let choices = scales.get(key);
    if (!choices) {
      const numbers = numbersOn(scale, decimals, labelSet);
      choices = {
        candidates: candidateTokens(
          tokenizer,
          numbers.map((number) => number.answer),
        ),
        values: numbers.map((number) => number.value),
        digits,
      };
      scales.set(key, choices);
    }
    return { ...row, number: { value, choices } };
  });
}
