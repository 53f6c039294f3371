/** The tables of the tuning service. Append only. */
import { epochTable } from '@emotune/database';
import { eventTables } from '@emotune/events';
import { requestTable } from '@emotune/service';

export const tuningMigrations: readonly string[] = [
  eventTables,
  requestTable,
  `
create table models (
  sequence bigint generated always as identity primary key,
  name text not null,
  version text not null,
  kind text not null check (kind in ('base', 'tuned')),
  state text not null check (state in ('trained', 'registered')),
  family text not null,
  parameters bigint not null,
  tokenizer text not null,
  prefix text not null,
  base_prefix text not null default '',
  -- The one with the latest time is served under the name.
  promoted_at timestamptz,
  lineage jsonb,
  -- Folder of the evaluation; null until one has ended.
  evaluation text,
  evaluation_failure text not null default '',
  created_at timestamptz not null,
  unique (name, version)
);
create table experiments (
  name text primary key,
  -- With every default filled in.
  spec jsonb not null,
  bases jsonb not null,
  state text not null,
  reason text not null,
  -- Version and shards that the trials use; null until they are ready.
  features jsonb,
  features_failure text,
  model_version text not null default '',
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  revision int not null default 0
);
create table trials (
  experiment text not null references experiments,
  number int not null,
  kind text not null check (kind in ('search', 'final')),
  state text not null,
  reason text not null default '',
  parameters jsonb not null,
  enqueued boolean not null,
  objective float8,
  step bigint not null default 0,
  tokens bigint not null default 0,
  total_tokens bigint not null,
  best_tokens bigint not null default 0,
  tokens_per_second float8 not null default 0,
  model_prefix text not null default '',
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  revision int not null default 0,
  primary key (experiment, number)
);
create table attempts (
  experiment text not null,
  trial int not null,
  number int not null,
  -- SHA-256 of the token that its trainer must show.
  token_hash text not null,
  lease_until timestamptz not null,
  outcome text,
  reason text not null default '',
  created_at timestamptz not null,
  ended_at timestamptz,
  primary key (experiment, trial, number),
  foreign key (experiment, trial) references trials
);
create table measurements (
  experiment text not null,
  trial int not null,
  attempt int not null,
  step bigint not null,
  tokens bigint not null,
  elapsed_seconds float8 not null,
  train_loss float8,
  objective float8,
  stage int not null,
  learning_rate float8 not null,
  tokens_per_second float8 not null,
  further jsonb not null,
  primary key (experiment, trial, attempt, step),
  foreign key (experiment, trial, attempt) references attempts
);`,
  `
-- Raised since it was accepted; null: those of the spec.
alter table experiments add limits jsonb;
-- Trials of earlier experiments, as samplers see them, with numbers below 0.
alter table experiments add history jsonb not null default '[]';
alter table trials add examples bigint not null default 0;
alter table trials add judged_at bigint not null default 0;
alter table trials add judgement jsonb;
alter table attempts add step bigint not null default -1;
alter table attempts add checkpoint text not null default '';
alter table attempts add wants_checkpoint boolean not null default false;
update attempts a set step = coalesce((select max(step) from measurements m
  where m.experiment = a.experiment and m.trial = a.trial and m.attempt = a.number), -1);
alter table measurements add examples bigint not null default 0;
create index open_trials on trials (experiment, number) where state in ('queued', 'running', 'paused');
create index finished_trials on trials (ended_at desc) where kind = 'search' and state in ('succeeded', 'stopped');`,
  `
-- Folds that have ended, in order.
alter table trials add folds jsonb not null default '[]';
-- From 0; null without folds.
alter table measurements add fold int;`,
  `
-- The trial whose last checkpoint it goes on from, and the planned tokens of its lineage until then.
alter table trials add origin int;
alter table trials add origin_tokens bigint not null default 0;
-- Its checkpoints lie in the object store until no trial can go on from them any more.
alter table trials add keeps_checkpoint boolean not null default false;
create index checkpointed_trials on trials (experiment, number) where keeps_checkpoint;`,
  epochTable,
  `
-- How often all trainers were asked for a checkpoint, and how many of these an attempt has answered.
alter table experiments add checkpoint_asks int not null default 0;
alter table attempts add checkpoint_asks int not null default 0;
update experiments e set checkpoint_asks = 1 where exists (
  select 1 from attempts a where a.experiment = e.name and a.wants_checkpoint);
update attempts a set checkpoint_asks = 1 from experiments e
  where e.name = a.experiment and e.checkpoint_asks = 1 and not a.wants_checkpoint;
alter table attempts drop column wants_checkpoint;`,
  `
-- Settings of training became a map; of those that were searched over, the fixed value counted for nothing.
update experiments set spec = jsonb_set(spec, '{training}', (spec->'training')
  - array['method', 'batchTokens', 'validationExamples', 'replay', 'checkpointSeconds', 'patience']
  || jsonb_build_object('settings', (select coalesce(jsonb_object_agg(key, jsonb_build_object(
        case jsonb_typeof(value) when 'string' then 'text' else 'number' end, value)), '{}')
      from jsonb_each(spec->'training')
      where key in ('method', 'batchTokens', 'validationExamples', 'replay', 'checkpointSeconds', 'patience')
        and key not in (select p->>'name' from jsonb_array_elements(spec->'parameters') p))))
  where spec->'training' is not null and not spec->'training' ? 'settings';`,
  `
-- Values of parameters and settings are the values themselves.
create function pg_temp.plain(value jsonb) returns jsonb language plpgsql as $$ begin
  return case
    when jsonb_typeof(value) <> 'object' then value
    when value ? 'number' then value->'number'
    when value ? 'text' then value->'text'
    when value ? 'flag' then value->'flag'
    when value ? 'list' then (select coalesce(jsonb_agg(pg_temp.plain(item)), '[]')
      from jsonb_array_elements(value->'list'->'values') item)
    when value ? 'values' then value || jsonb_build_object('values', (select coalesce(jsonb_agg(pg_temp.plain(item)), '[]')
      from jsonb_array_elements(value->'values') item))
    else value end;
end $$;
create function pg_temp.each_plain(named jsonb) returns jsonb language sql as $$
  select coalesce(jsonb_object_agg(key, pg_temp.plain(value)), '{}') from jsonb_each(named) $$;
update experiments set spec = jsonb_set(spec, '{training,settings}', pg_temp.each_plain(spec->'training'->'settings'))
  where spec->'training' ? 'settings';
update experiments set spec = jsonb_set(spec, '{parameters}', (select coalesce(jsonb_agg(
    case when jsonb_typeof(p) = 'object' then pg_temp.each_plain(p) else p end order by position), '[]')
  from jsonb_array_elements(spec->'parameters') with ordinality as listed(p, position)))
  where spec ? 'parameters';
update models set lineage = jsonb_set(lineage, '{parameters}', pg_temp.each_plain(lineage->'parameters'))
  where lineage ? 'parameters';`,
  `
-- How it was taught to answer; null where it does not tell.
alter table models add teaching jsonb;
-- Of an imported one: where it came from, as people name it.
alter table models add source text not null default '';
alter table models add licence text not null default '';`,
  `
-- What outside of it stands in the way, as a reason.
alter table experiments add obstacle text not null default '';`,
  `
-- When its trainer was heard of first. Of earlier attempts it is not known; most began at once.
alter table attempts add begun_at timestamptz;
update attempts set begun_at = created_at where outcome is not null or step >= 0;`,
  `
-- Of versions of before it is not known in what languages they were taught, nor how their answers compare with a constant.
update models set teaching = jsonb_build_object('calibrations', '[]'::jsonb) || jsonb_set(teaching, '{inquiries}', (
    select coalesce(jsonb_agg('{"languages": [], "skill": "SKILL_UNKNOWN"}'::jsonb || inquiry order by position), '[]')
    from jsonb_array_elements(teaching->'inquiries') with ordinality as listed(inquiry, position)))
  where teaching ? 'inquiries';`,
];
