import { FailedPrecondition, InvalidArgument, NotFound } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { emit, topics } from '@emotune/events';
import { common } from '@emotune/proto';
import { expect, it } from 'vitest';
import {
  completed,
  context,
  evaluations,
  eventually,
  finished,
  host,
  objects,
  onFeatures,
  start,
  withService,
} from './test-evaluations.js';

const { BuildState } = common;
withService();

const noUpload = { sha256: '0'.repeat(64), name: 'mine.tsv' };

it('is idempotent by request id', async () => {
  const request = { model: 'base', ...onFeatures, limit: 1, requestId: 'once' };
  const made = await Promise.all([
    evaluations.call('evaluate', request),
    evaluations.call('evaluate', request),
  ]);
  expect(made[0].id).toBe(made[1].id);
  await expect(evaluations.call('evaluate', { ...request, limit: 2 })).rejects.toThrow(/requestId/);
  await finished(made[0].id);
});

it.each([
  [{ ...onFeatures }, InvalidArgument, /model: expected the name/],
  [{ model: 'base' }, InvalidArgument, /expected "dataset", "file", "plain" or "checks", got none of them/],
  [{ model: 'base', checks: {}, limit: 3 }, InvalidArgument, /limit: expected 0 beside "checks"/],
  [{ model: 'base', plain: {}, limit: 3 }, InvalidArgument, /limit: expected 0 beside "plain", got 3/],
  [{ model: 'base', dataset: {} }, InvalidArgument, /dataset: expected "features" or "dataset"/],
  [
    { model: 'base', dataset: { features: 'letters-features', split: 'tset' } },
    InvalidArgument,
    /dataset\.split: expected one of train, validation, test, got "tset"/,
  ],
  [{ model: 'base', ...onFeatures, limit: -1 }, InvalidArgument, /limit: expected 0 or more/],
  [{ model: 'absent', ...onFeatures }, NotFound, /absent/],
  [{ model: 'base', dataset: { features: 'absent' } }, NotFound, /absent/],
  [{ model: 'base', dataset: { features: 'unready' } }, FailedPrecondition, /unready cannot be asked/],
  [
    { model: 'base', file: { upload: { sha256: 'mine.tsv', name: 'm' }, labels: ['a'] } },
    InvalidArgument,
    /file\.upload\.sha256: expected a SHA-256.*file\.task: expected one of/,
  ],
  [
    {
      model: 'base',
      file: { upload: noUpload, task: common.Task.TASK_EMOTION_REGRESSION, scale: { low: 1, high: 1 } },
    },
    InvalidArgument,
    /file\.scale: expected low and high/,
  ],
  [
    {
      model: 'base',
      file: { upload: noUpload, task: common.Task.TASK_EMOTION_CLASSIFICATION, labels: ['a|b', 'c', 'c'] },
    },
    InvalidArgument,
    /file\.labels\[0\]: expected a label without.*file\.labels\[2\]: expected each label once/,
  ],
  [
    {
      model: 'base',
      file: {
        upload: noUpload,
        task: common.Task.TASK_EMOTION_CLASSIFICATION,
        labels: ['a b', 'c,d'],
        labelSeparator: ' ',
      },
    },
    InvalidArgument,
    /file\.labels\[1\]: expected a label without.*file\.labelSeparator: expected a text that is in no label, got " ", which is in "a b"/,
  ],
  [
    {
      model: 'base',
      file: {
        upload: noUpload,
        task: common.Task.TASK_EMOTION_REGRESSION,
        scale: { low: 0, high: 1 },
      },
    },
    FailedPrecondition,
    /file\.upload: the content of "mine\.tsv" is not here/,
  ],
])('refuses %j', async (request, type, message) => {
  const error = await evaluations.call('evaluate', request).catch((e) => e);
  expect(error).toBeInstanceOf(type);
  expect(error.message).toMatch(message);
});

it('records why an evaluation failed, tells it, and cannot compare it', async () => {
  const { id } = await evaluations.call('evaluate', { model: 'broken', ...onFeatures });
  const failed = await finished(id);
  expect(failed.state).toBe(BuildState.BUILD_STATE_FAILED);
  expect(failed.failure).toContain('models/absent/v1');
  expect(await objects.list(`evaluations/${id}/`)).toEqual([]);
  const event = await eventually(() => completed.find((e) => e.id === id));
  expect(event).toMatchObject({ model: 'broken', prefix: '', failure: failed.failure });
  await expect(evaluations.call('compareEvaluations', { first: id, second: id })).rejects.toThrow(
    /first: evaluation .* cannot be compared: it failed/,
  );
  await expect(evaluations.call('compareEvaluations', { first: id, second: id })).rejects.toBeInstanceOf(
    FailedPrecondition,
  );

  // A model that does not tell its features cannot be evaluated on them.
  await context.database.transaction((sql) =>
    emit(sql, topics.modelTrained, 'orphan', { name: 'orphan', version: 'orphan-v1' }),
  );
  context.outbox.wake();
  const orphan = await eventually(() => completed.find((e) => e.model === 'orphan'));
  expect(orphan.failure).toContain('does not tell its feature set');
});

it('pages, newest first, of all models or one', async () => {
  for (let i = 0; i < 4; i++) await evaluations.call('evaluate', { model: 'base', ...onFeatures, limit: 1 });
  const ids: string[] = [];
  let pageToken = '';
  do {
    const page = await evaluations.call('listEvaluations', { model: 'base', pageSize: 2, pageToken });
    expect(page.evaluations.length).toBeLessThanOrEqual(2);
    ids.push(...page.evaluations.map((e) => e.id));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'base@base-v1' });
  expect(ids).toEqual(all.map((e) => e.id));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(3);
  await expect(evaluations.call('listEvaluations', { pageToken: 'no token!' })).rejects.toThrow(/pageToken/);
});

it('goes on after a restart with what was not done, and gives the same numbers', async () => {
  const first = await evaluations.call('evaluate', { model: 'tuned', ...onFeatures });
  await finished(first.id);
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'tuned' });
  const [before] = all;
  await host.close();
  // What a process leaves that was killed while it worked.
  const database = await Database.connect(await testDatabaseUrl(), 'evaluation');
  await database.query(
    "update evaluations set state = 'BUILD_STATE_BUILDING', result = null, ended_at = null where id = $1",
    [before.id],
  );
  await database.close();
  await objects.delete(before.prefix);
  await start();
  const again = await finished(before.id);
  expect(again.state).toBe(BuildState.BUILD_STATE_READY);
  expect(again.tasks).toEqual(before.tasks);
  expect((await objects.list(`${before.prefix}/`)).map(({ key }) => key.split('/').pop())).toEqual([
    'predictions.arrow',
    'report.html',
    'results.json',
  ]);
});

it('an evaluation that a stop interrupts is not failed', async () => {
  const { id } = await evaluations.call('evaluate', { model: 'base', dataset: { dataset: 'letters' } });
  await host.close();
  await start();
  const done = await finished(id);
  expect(done).toMatchObject({ state: BuildState.BUILD_STATE_READY, failure: '' });
});

it('is deleted with its files, also while it is worked on, and the next is worked on', async () => {
  const request = { model: 'base', dataset: { dataset: 'letters' } };
  const remove = (id: string) => evaluations.call('deleteEvaluation', { id });
  const { id } = await evaluations.call('evaluate', request);
  await finished(id);
  expect((await objects.list(`evaluations/${id}/`)).length).toBeGreaterThan(0);
  const running = await evaluations.call('evaluate', request);
  for (const gone of [id, running.id]) {
    await remove(gone);
    await expect(evaluations.call('getEvaluation', { id: gone })).rejects.toBeInstanceOf(NotFound);
    await expect(remove(gone)).rejects.toBeInstanceOf(NotFound);
    expect(await objects.list(`evaluations/${gone}/`)).toEqual([]);
  }
  const next = await evaluations.call('evaluate', request);
  expect(await finished(next.id)).toMatchObject({ state: BuildState.BUILD_STATE_READY });
});
