/** Judgements as rows of data: of each item what its raters answered together. */
import { ratedGold, unitOf } from '@emotune/affect';
import { mean } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import { taskMessage } from '@emotune/service';
import type { Item } from './items.js';
import { byItem, isNumeric, type Judged, mostFrequent } from './panel.js';
import type { RatingQuestion } from './question.js';

export interface RowsInput {
  readonly name: string;
  readonly licence: string;
  readonly question: RatingQuestion;
  readonly items: ReadonlyMap<number, Item>;
  /** Of those who consented, and are not left out. */
  readonly judgements: readonly Judged[];
  readonly leastRaters: number;
}

/** Significant digits that survive means of decimal fractions. */
const digits = 12;
const rounded = (value: number) => Number(value.toPrecision(digits));

type Answered = Pick<evaluation.StudyRow, 'value' | 'answer' | 'ratings' | 'spread' | 'votes'>;

/** Undefined where the raters are divided. */
function answeredBy(judged: readonly Judged[], question: RatingQuestion): Answered | undefined {
  if (isNumeric(question)) {
    const { scale } = question;
    const values = judged.flatMap(({ answer }) => (answer.kind === 'value' ? [answer.value] : []));
    const { spread } = ratedGold(
      0,
      values.map((value) => unitOf(scale, value)),
    );
    return {
      value: rounded(mean(values)),
      answer: [],
      ratings: [...values].sort((a, b) => a - b),
      spread: rounded(spread! * Math.abs(scale.high - scale.low)),
      votes: {},
    };
  }
  const given = judged.flatMap(({ answer }) => (answer.kind === 'labels' ? [answer.labels] : []));
  const counts = new Map<string, number>();
  for (const label of given.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const answer = question.multiLabel
    ? [...counts].filter(([, votes]) => 2 * votes >= given.length).map(([label]) => label)
    : mostFrequent(given.flat());
  if (answer.length === 0 || (!question.multiLabel && answer.length > 1)) return undefined;
  return {
    value: undefined,
    answer: answer.sort(),
    ratings: [],
    spread: undefined,
    votes: Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Of text and judgements together. */
function licenceOf({ licence: text }: Item, judgements: string): string {
  return text === judgements ? judgements : `${text || 'unknown'} AND ${judgements}`;
}

export function rowsOf(input: RowsInput): evaluation.ListStudyRowsResponse {
  const { name, licence, question, items, judgements, leastRaters } = input;
  const rows: evaluation.StudyRow[] = [];
  let [divided, tooFew] = [0, 0];
  const numbers = [...byItem(judgements.filter(({ item }) => items.get(item)!.right === null))];
  for (const [number, judged] of numbers.sort(([a], [b]) => a - b)) {
    const item = items.get(number)!;
    if (judged.length < leastRaters) {
      tooFew++;
      continue;
    }
    const answered = answeredBy(judged, question);
    if (answered === undefined) {
      divided++;
      continue;
    }
    rows.push({
      ...{ id: item.example, text: item.text, task: taskMessage(question.task), emotion: item.emotion ?? '' },
      ...{ scale: question.scale ?? undefined, labels: [...question.labels] },
      ...{ multiLabel: question.multiLabel, ...answered, raters: judged.length, source: `study:${name}` },
      ...{
        licence: licenceOf(item, licence),
        language: item.language,
        textSource: item.source,
        textLicence: item.licence,
      },
    });
  }
  return { rows, divided, tooFew };
}
