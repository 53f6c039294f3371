/** What raters are asked of each item, and which answers there are. */
import { isRegression, ratingStep, ratingValues, type Scale, type Task } from '@emotune/affect';
import { InvalidArgument, show } from '@emotune/base';
import { type RatingPlan, type StudyPlan, stepViolations } from './spec.js';

export interface RatingQuestion {
  readonly kind: 'rating';
  readonly question: string;
  readonly task: Task;
  readonly scale: Scale | null;
  /** Regression: every answer, in the order of the scale. */
  readonly values: readonly number[];
  readonly labels: readonly string[];
  readonly multiLabel: boolean;
}

interface ComparisonQuestion {
  readonly kind: 'comparison';
  readonly question: string;
}

export type StudyQuestion = RatingQuestion | ComparisonQuestion;

/** What a row was asked, as far as a study takes it over. */
export interface AskedRow {
  readonly task: Task;
  readonly scale: Scale | null;
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
}

const wording: Readonly<Record<Task, string>> = {
  'sentiment-classification': 'What is the sentiment of this text?',
  'sentiment-regression':
    'How does the writer of this text feel, from the most negative to the most positive?',
  'emotion-classification': 'Which emotion does this text show?',
  'emotion-regression': 'How much of this emotion does the text show?',
};
const severalWording: Partial<Record<Task, string>> = {
  'emotion-classification': 'Which emotions does this text show? Choose all that apply.',
  'sentiment-classification': 'What is the sentiment of this text? Choose all that apply.',
};
const comparisonWording = 'Which answer fits the text better?';

/** The one value that all rows have. @throws InvalidArgument */
function common<T>(rows: readonly T[], field: string, what: string): T {
  const found = [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
  if (found.length === 1) return found[0];
  throw InvalidArgument.at(
    field,
    `expected ${what}, since rows have several: ${found
      .slice(0, 3)
      .map((one) => show(one))
      .join(', ')}${found.length > 3 ? ' and others' : ''}`,
  );
}

/** @param rows of the task, one at least @throws InvalidArgument where the rows do not tell what the plan leaves open. */
function ratingQuestion(mode: RatingPlan, rows: readonly AskedRow[]): RatingQuestion {
  const { task } = mode;
  if (isRegression(task)) {
    const scale =
      mode.scale ??
      common(
        rows.map(({ scale: of }) => of!),
        'spec.rating.scale',
        'a scale',
      );
    const step = mode.step || ratingStep(scale);
    const wrong = stepViolations(scale, step, 'spec.rating.step');
    if (wrong.length > 0) throw new InvalidArgument(wrong);
    return {
      ...{ kind: 'rating', question: mode.question || wording[task], task, scale },
      ...{ values: ratingValues(scale, step), labels: [], multiLabel: false },
    };
  }
  const labels =
    mode.labels.length > 0
      ? mode.labels
      : common(
          rows.map(({ labelSet }) => [...labelSet].sort()),
          'spec.rating.labels',
          'labels',
        );
  const multiLabel = mode.multiLabel || (mode.labels.length === 0 && rows.every((row) => row.multiLabel));
  const usual = (multiLabel && severalWording[task]) || wording[task];
  return {
    ...{ kind: 'rating', question: mode.question || usual, task, scale: null, values: [] },
    ...{ labels, multiLabel },
  };
}

/** @param rows that can be judged, one at least @throws InvalidArgument */
export function questionFor({ mode }: Pick<StudyPlan, 'mode'>, rows: readonly AskedRow[]): StudyQuestion {
  if (mode.kind === 'rating') return ratingQuestion(mode, rows);
  return { kind: 'comparison', question: mode.question || comparisonWording };
}
