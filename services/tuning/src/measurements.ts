/** Measurements as the contract has them, each field a column: the same list writes them and reads them. */
import type { Sql } from '@emotune/database';
import type { tuning } from '@emotune/proto';
import { type Column, column } from './columns.js';

type Measurement = tuning.Measurement;

/** JSON knows no NaN and no ±Infinity; the contract reads them from their names. */
const json = (values: Measurement['values']) =>
  JSON.stringify(values, (_, value) =>
    Number.isFinite(value) || typeof value === 'object' ? value : String(value),
  );

/** By the field of the contract. */
export const measured: Readonly<Record<keyof Measurement, Column<Measurement>>> = {
  step: column('step', 'bigint', ({ step }) => step),
  tokens: column('tokens', 'bigint', ({ tokens }) => tokens),
  examples: column('examples', 'bigint', ({ examples }) => examples),
  elapsedSeconds: column('elapsed_seconds', 'float8', ({ elapsedSeconds }) => elapsedSeconds),
  trainLoss: column('train_loss', 'float8', ({ trainLoss }) => trainLoss),
  objective: column('objective', 'float8', ({ objective }) => objective),
  stage: column('stage', 'int', ({ stage }) => stage),
  learningRate: column('learning_rate', 'float8', ({ learningRate }) => learningRate),
  tokensPerSecond: column('tokens_per_second', 'float8', ({ tokensPerSecond }) => tokensPerSecond),
  fold: column('fold', 'int', ({ fold }) => fold),
  values: column('further', 'jsonb', ({ values }) => values ?? {}, json),
};
const fields = Object.entries(measured)
  .map(([field, { name }]) => `${name} as "${field}"`)
  .join(', ');

/** Measurements of trials, all or the last; where attempts measured the same step the later one counts. */
export async function measurementsOf(
  sql: Sql,
  experiment: string,
  trials: readonly number[],
  which: 'all' | 'last',
): Promise<(Measurement & { readonly trial: number })[]> {
  const distinct = which === 'all' ? 'trial, step' : 'trial';
  const order = which === 'all' ? 'trial, step, attempt desc' : 'trial, attempt desc, step desc';
  return sql.query(
    `select distinct on (${distinct}) trial, ${fields} from measurements
     where experiment = $1 and trial = any($2) order by ${order}`,
    [experiment, trials],
  );
}
