/** What Prometheus is told of experiments and trials, as the database has them when it is asked. */
import type { Database } from '@emotune/database';
import type { Metrics } from '@emotune/service';

/** Seconds: from a free node to a queue over the weekend. */
const waitBounds = [1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 172_800];

/** Whether a trainer of trial `t` works. Its job may wait for a node, or its next one for the end of a pause. */
const works = `t.state = 'running' and exists (select from attempts a
  where a.experiment = t.experiment and a.trial = t.number and a.outcome is null and a.begun_at is not null)`;

type Rows = { value: number; [label: string]: string | number }[];

export function tellTrials(metrics: Metrics, database: Database): void {
  const gauge = (name: string, help: string, labels: readonly string[], query: string) =>
    metrics.rows({ name, help, labels }, () => database.query<Rows[number]>(query));
  gauge(
    'emotune_experiments',
    'Experiments by state.',
    ['state'],
    'select state, count(*)::int as value from experiments group by state',
  );
  gauge(
    'emotune_trials',
    'Trials by state; those that wait for a node are queued.',
    ['state'],
    `select case when t.state = 'running' and not (${works}) then 'queued' else t.state end as state,
       count(*)::int as value from trials t group by 1`,
  );
  gauge(
    'emotune_trials_queued_oldest_seconds',
    'How long the trial that has waited longest for a trainer has waited.',
    [],
    `select coalesce(extract(epoch from now() - min(coalesce(
         (select max(a.ended_at) from attempts a where a.experiment = t.experiment and a.trial = t.number), t.created_at))),
         0)::float8 as value
       from trials t where t.state in ('queued', 'running') and not (${works})`,
  );
  metrics.histogram(
    {
      name: 'emotune_trials_queued_seconds',
      help: 'How long trials waited until their first trainer began.',
      bounds: waitBounds,
    },
    () =>
      database.query<{ bucket: number; count: number; sum: number }>(
        `select width_bucket(seconds, $1::float8[]) as bucket, count(*)::int as count, sum(seconds)::float8 as sum
         from (select extract(epoch from min(a.begun_at) - t.created_at)::float8 as seconds from trials t
               join attempts a on a.experiment = t.experiment and a.trial = t.number
               where a.begun_at is not null group by t.experiment, t.number) waits group by bucket`,
        [waitBounds],
      ),
  );
  gauge(
    'emotune_tokens_per_second',
    'Tokens per second of all trainers of an experiment.',
    ['experiment'],
    `select experiment, sum(tokens_per_second)::float8 as value from trials t where ${works} group by experiment`,
  );
  gauge(
    'emotune_tokens_trained',
    'Tokens that the trials of an experiment have been trained on.',
    ['experiment'],
    'select experiment, sum(tokens)::float8 as value from trials group by experiment',
  );
  gauge(
    'emotune_gpu_hours',
    'GPU-hours that the trainers of an experiment have taken.',
    ['experiment'],
    `select a.experiment, (sum(extract(epoch from coalesce(a.ended_at, now()) - a.begun_at)) / 3600
       * coalesce((e.spec #>> '{cost,gpusPerTrial}')::float8, 0))::float8 as value
     from attempts a join experiments e on e.name = a.experiment group by a.experiment, e.spec`,
  );
  gauge(
    'emotune_train_loss',
    'The newest training loss of the trials that run, averaged.',
    ['experiment'],
    `select experiment, avg(train_loss)::float8 as value from (
       select distinct on (m.experiment, m.trial) m.experiment, m.train_loss from measurements m
       join trials t on t.experiment = m.experiment and t.number = m.trial and t.state = 'running'
       order by m.experiment, m.trial, m.attempt desc, m.step desc) newest
     where train_loss is not null group by experiment`,
  );
  gauge(
    'emotune_best_objective',
    'The best objective of the trials of an experiment that succeeded; lower is better.',
    ['experiment'],
    `select experiment, min(objective)::float8 as value from trials
     where state = 'succeeded' and kind = 'search' and objective is not null group by experiment`,
  );
}
