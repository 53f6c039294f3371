/** Held-out texts, and what a trained model's answers to them say of all its answers. */
import {
  type Calibration,
  calibratable,
  type Example,
  fitCalibrations,
  isRegression,
  questionOf,
  type Teaching,
} from '@emotune/affect';
import { Answerer, type AnswererOptions } from '@emotune/answering';
import type { FeatureRow } from '@emotune/records/features';
import { textKey } from '@emotune/text';
import { splitOf } from './folds.js';

export interface ValidationParts {
  /** For trials to be compared by, and for the final training. */
  readonly open: readonly FeatureRow[];
  /** Half of the texts, which nothing but the calibration sees; empty where they are too few to calibrate anything. */
  readonly held: readonly FeatureRow[];
}

/** The same rows give the same parts. Rows of one text are of one part. */
export function validationParts(rows: readonly FeatureRow[]): ValidationParts {
  const texts = new Set(rows.map(({ text }) => textKey(text)));
  if (texts.size < 2) return { open: rows, held: [] };
  const { train: open, held } = splitOf(rows, { fold: 0, of: 2 });
  return calibratable(held) ? { open, held } : { open: rows, held: [] };
}

/**
 * Asks the model of these folders about held-out rows as it will be asked, and fits its calibrations.
 * @throws as `Answerer.open`; the signal's reason.
 */
export async function calibrate(
  model: Pick<AnswererOptions, 'folder' | 'adapter' | 'threads'>,
  { cues }: Pick<Teaching, 'cues'>,
  held: readonly Example[],
  signal?: AbortSignal,
): Promise<Calibration[]> {
  if (held.length === 0) return [];
  const answerer = await Answerer.open(model);
  try {
    const questions = held.map((row) =>
      questionOf(row, {
        cues: cues ? answerer.lexicons.explain(row.text, row.language).cueText : '',
        paraphrase: 0,
      }),
    );
    const answers = await answerer.ask(questions, signal ? { signal } : {});
    return fitCalibrations(
      held.map((row, i) => ({
        task: row.task,
        emotion: row.emotion,
        // A scale in words is asked on the words alone.
        labelSet: isRegression(row.task) ? [] : row.labelSet,
        multiLabel: row.multiLabel,
        scale: row.scale,
        said: answers[i].said,
        gold: row.gold,
        text: textKey(row.text),
      })),
    );
  } finally {
    await answerer.close();
  }
}
