/** Studies in the SQLite files of Optuna's RDB storage, schema version 12 (Optuna 3 to 5). */
import { FailedPrecondition, fieldPath, InvalidArgument, NotFound, nearest, show } from '@emotune/base';
import { type Study, type StudyTrial, stateOf, stateWords } from './study.js';

const schemaVersion = 12;

type Row = Record<string, unknown>;

/** What a query of one table gives. */
type Query = (sql: string, ...values: (string | number)[]) => Row[];

/** The non-finite words of Optuna's tables. */
const broken: Readonly<Record<string, number>> = { INF_POS: Infinity, INF_NEG: -Infinity, NAN: Number.NaN };

function storedValue(value: unknown, type: unknown, path: readonly PropertyKey[]): number {
  if (type !== 'FINITE' && Object.hasOwn(broken, String(type))) return broken[String(type)];
  if (typeof value !== 'number')
    throw InvalidArgument.at(fieldPath(path), `expected a number, got ${show(value)}`);
  return value;
}

/** Optuna stores numbers as they are and categories by their index in the distribution. */
function parameterOf(row: Row, path: readonly PropertyKey[]): unknown {
  let distribution: { name?: unknown; attributes?: { choices?: unknown } } | null;
  try {
    distribution = JSON.parse(String(row['distribution_json']));
  } catch (cause) {
    throw InvalidArgument.at(fieldPath(path), 'expected a distribution in JSON', { cause });
  }
  const value = row['param_value'];
  if (typeof value !== 'number')
    throw InvalidArgument.at(fieldPath(path), `expected a number, got ${show(value)}`);
  if (distribution?.name !== 'CategoricalDistribution') return value;
  const choices = distribution.attributes?.choices;
  if (!Array.isArray(choices) || !Number.isInteger(value) || value < 0 || value >= choices.length)
    throw InvalidArgument.at(fieldPath(path), `expected the index of one of its choices, got ${value}`);
  return choices[value];
}

/** Rows by the trial they belong to. */
function byTrial(rows: readonly Row[]): Map<unknown, Row[]> {
  return Map.groupBy(rows, (row) => row['trial_id']);
}

function readStudy(query: Query, name: string | undefined): Study {
  const [version] = query('SELECT schema_version FROM version_info');
  if (version?.['schema_version'] !== schemaVersion)
    throw new FailedPrecondition(
      `study: expected Optuna's schema version ${schemaVersion}, got ${show(version?.['schema_version'])}; run "optuna storage upgrade" on a copy`,
    );
  const studies = query('SELECT study_id, study_name FROM studies ORDER BY study_id');
  const names = studies.map((row) => String(row['study_name']));
  const index = name === undefined ? (names.length === 1 ? 0 : -1) : names.indexOf(name);
  if (index < 0) {
    if (name === undefined)
      throw InvalidArgument.at(
        'study',
        `expected the name of one of ${names.length} studies: ${names.join(', ')}`,
      );
    const near = nearest(name, names);
    throw new NotFound(
      `study: none is called "${name}"${near ? `, did you mean "${near}"?` : `, expected ${names.join(', ')}`}`,
    );
  }
  const id = studies[index]['study_id'] as number;
  const of = (table: string, order: string) =>
    byTrial(
      query(
        `SELECT t.* FROM ${table} t JOIN trials USING (trial_id) WHERE trials.study_id = ? ORDER BY ${order}`,
        id,
      ),
    );
  const directions = query(
    'SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective',
    id,
  ).map(({ direction }) =>
    direction === 'MAXIMIZE'
      ? ('maximize' as const)
      : direction === 'MINIMIZE'
        ? ('minimize' as const)
        : undefined,
  );
  const parameters = of('trial_params', 'param_id');
  const values = of('trial_values', 'objective');
  const measurements = of('trial_intermediate_values', 'step');
  const trials = query(
    'SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number',
    id,
  ).map((row): StudyTrial => {
    const number = row['number'];
    if (!Number.isSafeInteger(number))
      throw InvalidArgument.at('trials', `expected a whole number of each, got ${show(number)}`);
    const path = ['trials', number as number];
    const state = stateOf(String(row['state']));
    if (!state)
      throw InvalidArgument.at(
        fieldPath([...path, 'state']),
        `expected one of ${stateWords}, got ${show(row['state'])}`,
      );
    const own = (groups: Map<unknown, Row[]>) => groups.get(row['trial_id']) ?? [];
    const objectives = new Map(
      own(values).map((v) => [v['objective'], storedValue(v['value'], v['value_type'], [...path, 'value'])]),
    );
    return {
      number: number as number,
      state,
      parameters: Object.fromEntries(
        own(parameters).map((p) => [
          String(p['param_name']),
          parameterOf(p, [...path, String(p['param_name'])]),
        ]),
      ),
      objectives: directions.map((_, objective) => objectives.get(objective)),
      measurements: own(measurements).map((m) => ({
        step: Number(m['step']),
        value: storedValue(m['intermediate_value'], m['intermediate_value_type'], [
          ...path,
          'intermediate_value',
        ]),
      })),
    };
  });
  return { name: names[index], directions, trials };
}

/**
 * Reads a study from an SQLite file, which is not changed.
 * @param name Of the study; may be left out where the file holds one.
 * @throws NotFound when there is no such file or study; InvalidArgument when it is no such database or a row is broken;
 * FailedPrecondition when its schema is another or Node is too old to read it.
 */
export async function readOptunaStudy(path: string, name?: string): Promise<Study> {
  const sqlite = await import('node:sqlite').catch((cause) => {
    throw new FailedPrecondition(
      `study: expected Node 22.13 or later to read SQLite, got ${process.version}`,
      { cause },
    );
  });
  let database: InstanceType<typeof sqlite.DatabaseSync>;
  try {
    database = new sqlite.DatabaseSync(path, { readOnly: true });
  } catch (cause) {
    throw new NotFound(`study: expected a readable SQLite file, got ${path}`, { cause });
  }
  try {
    return readStudy((sql, ...values) => database.prepare(sql).all(...values) as Row[], name);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_SQLITE_ERROR') throw cause;
    throw InvalidArgument.at(
      'study',
      `expected a database of Optuna, got ${path} (${(cause as Error).message})`,
      {
        cause,
      },
    );
  } finally {
    database.close();
  }
}
