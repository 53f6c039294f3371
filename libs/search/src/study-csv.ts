/**
 * Studies as CSV: a row for each trial under `number` and `state`, which may be left out, `value` or `values_0`, … or
 * `objective`, and the parameters: the columns `params_NAME` where there are any (as Optuna's data frames), else all others.
 */
import { InvalidArgument, Violations } from '@emotune/base';
import { type Study, type StudyTrial, stateOf, stateWords } from './study.js';

const prefix = 'params_';
/** Columns that are no parameters. */
const other =
  /^(number|state|value|objective|values_\d+|datetime_.*|duration|user_attrs_.*|system_attrs_.*|)$/;

/** Texts of what is not finite, as pandas and we write it. */
const words: ReadonlyMap<string, number> = new Map([
  ['nan', Number.NaN],
  ['inf', Infinity],
  ['infinity', Infinity],
  ['-inf', -Infinity],
  ['-infinity', -Infinity],
]);

/** A number's text; undefined where empty, null where it is none. */
function numberOf(text: string): number | undefined | null {
  if (text.trim() === '') return undefined;
  const value = words.get(text.trim().toLowerCase()) ?? Number(text);
  return Number.isNaN(value) && !words.has(text.trim().toLowerCase()) ? null : value;
}

/** A row by the names of its header, and where it is. */
interface CsvRow {
  /** "line 2". */
  readonly at: string;
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Reads the rows of a CSV file. An empty cell is an absent value; parameters stay texts.
 * @throws InvalidArgument with every broken cell, by line and column.
 */
export function studyOfRows(rows: readonly CsvRow[], name = 'csv'): Study {
  if (rows.length === 0) throw InvalidArgument.at('study', 'expected a header and at least one row');
  const columns = Object.keys(rows[0].values);
  const objectives = columns
    .filter((column) => /^(value|objective|values_\d+)$/.test(column))
    .sort((a, b) => Number(a.slice(7)) - Number(b.slice(7)));
  if (objectives.length === 0)
    throw InvalidArgument.at(
      'study',
      `expected a column value, values_0 or objective, got ${columns.join(', ')}`,
    );
  const prefixed = columns.filter((column) => column.startsWith(prefix));
  const parameters = prefixed.length > 0 ? prefixed : columns.filter((column) => !other.test(column));

  const violations = new Violations();
  const trials = rows.map(({ at, values: row }, i): StudyTrial => {
    const wrong = (column: string, expected: string) =>
      violations.add(`${at}, ${column}`, `expected ${expected}, got ${JSON.stringify(row[column])}`);
    const number = row['number'] === undefined ? i : numberOf(row['number']);
    if (!Number.isSafeInteger(number) || (number as number) < 0) wrong('number', 'a whole number from 0');
    const values = objectives.map((column) => {
      const value = numberOf(row[column]);
      if (value === null) wrong(column, 'a number');
      return value ?? undefined;
    });
    const measured = values.every((value) => value !== undefined);
    const state = row['state'] === undefined ? (measured ? 'complete' : 'failed') : stateOf(row['state']);
    if (!state) wrong('state', `one of ${stateWords}`);
    return {
      number: number as number,
      state: state ?? 'failed',
      parameters: Object.fromEntries(
        parameters
          .filter((column) => row[column] !== '')
          .map((column) => [column.startsWith(prefix) ? column.slice(prefix.length) : column, row[column]]),
      ),
      objectives: values,
      measurements: [],
    };
  });
  violations.throwIfAny();
  trials.sort((a, b) => a.number - b.number);
  const twice = trials.find(({ number }, i) => number === trials[i - 1]?.number);
  if (twice)
    throw InvalidArgument.at('study', `expected a number for each trial alone, got ${twice.number} twice`);
  return { name, directions: objectives.map(() => undefined), trials };
}
