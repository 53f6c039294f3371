/** Studies as rows: what both who makes them and who judges read. */
import { NotFound, show } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { evaluation } from '@emotune/proto';
import type { Answer } from './answers.js';
import type { Item } from './items.js';
import type { StudyQuestion } from './question.js';
import type { StudyPlan } from './spec.js';

export const studyTables = `
create table studies (
  name text primary key,
  number bigint not null generated always as identity,
  spec jsonb not null,
  plan jsonb not null,
  question jsonb not null,
  -- name@version of the models that are compared; null elsewhere.
  models jsonb,
  notices jsonb not null,
  state text not null,
  -- Of the link for anybody.
  ticket text not null unique,
  created_at timestamptz not null default now(),
  opened_at timestamptz,
  closed_at timestamptz
);
create table study_items (
  study text not null references studies on delete cascade,
  number int not null,
  item jsonb not null,
  primary key (study, number)
);
create table study_raters (
  study text not null references studies on delete cascade,
  number int not null,
  name text not null,
  invited boolean not null,
  -- Of the rater's link.
  ticket text not null unique,
  consented_at timestamptz,
  primary key (study, number),
  unique (study, name)
);
create table study_judgements (
  study text not null,
  item int not null,
  rater int not null,
  given_at timestamptz not null default now(),
  judged_at timestamptz,
  answer jsonb,
  seconds float8,
  -- What was answered before, the oldest first.
  earlier jsonb not null default '[]',
  primary key (study, rater, item),
  foreign key (study, item) references study_items on delete cascade,
  foreign key (study, rater) references study_raters on delete cascade
);
create index on study_judgements (study, item)`;

export interface StudyRow {
  readonly name: string;
  readonly number: number;
  readonly spec: evaluation.StudySpec;
  readonly plan: StudyPlan;
  readonly question: StudyQuestion;
  readonly models: readonly [string, string] | null;
  readonly notices: readonly string[];
  readonly state: evaluation.StudyState;
  readonly ticket: string;
  readonly created_at: Date;
  readonly opened_at: Date | null;
  readonly closed_at: Date | null;
}

export interface RaterRow {
  readonly study: string;
  readonly number: number;
  readonly name: string;
  readonly invited: boolean;
  readonly ticket: string;
  readonly consented_at: Date | null;
}

export interface JudgementRow {
  readonly item: number;
  readonly rater: number;
  readonly judged_at: Date;
  readonly answer: Answer;
  readonly seconds: number;
  readonly earlier: readonly Answer[];
}

/** @throws NotFound */
export async function findStudy(sql: Sql, name: string): Promise<StudyRow> {
  const [row] = await sql.query<StudyRow>('select * from studies where name = $1', [name]);
  if (!row)
    throw new NotFound(
      `expected a study, got ${show(name)}; "emotune study list" shows those that there are`,
    );
  return row;
}

/** By their numbers. */
export async function itemsOf(sql: Sql, study: string): Promise<ReadonlyMap<number, Item>> {
  const rows = await sql.query<{ number: number; item: Item }>(
    'select number, item from study_items where study = $1 order by number',
    [study],
  );
  return new Map(rows.map(({ number, item }) => [number, item]));
}

export function ratersOf(sql: Sql, study: string): Promise<RaterRow[]> {
  return sql.query<RaterRow>('select * from study_raters where study = $1 order by number', [study]);
}

/** Of raters who consented, in the order of items and raters. */
export function judgementsOf(sql: Sql, study: string): Promise<JudgementRow[]> {
  return sql.query<JudgementRow>(
    `select j.item, j.rater, j.judged_at, j.answer, j.seconds, j.earlier
     from study_judgements j join study_raters r on r.study = j.study and r.number = j.rater
     where j.study = $1 and j.answer is not null and r.consented_at is not null order by j.item, j.rater`,
    [study],
  );
}
