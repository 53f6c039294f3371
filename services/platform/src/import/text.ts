/** What was taken over from another program, as text. */

import { facts, table } from '@emotune/cli/format';
import type { tuning } from '@emotune/proto';
import type { Study } from '@emotune/search';

export function importText({
  study,
  fitting = 0,
  taught = 0,
  enqueued = [],
  known = [],
  misfits,
}: {
  readonly study: Study;
  readonly fitting?: number;
  readonly taught?: number;
  readonly enqueued?: readonly number[];
  readonly known?: readonly number[];
  readonly misfits: readonly tuning.Misfit[];
}): string {
  const shown = facts([
    ['study', study.name],
    ['trials', `${study.trials.length}, of which ${fitting} fit the search space`],
    ['taught', taught === 0 ? '' : String(taught)],
    ['enqueued', enqueued.length === 0 ? '' : `trials ${enqueued.join(', ')}`],
    [
      'skipped',
      known.length === 0
        ? ''
        : `${known.length}, whose values ${known.length === 1 ? 'trial' : 'trials'} ${known.join(', ')} ${known.length === 1 ? 'has' : 'have'} already`,
    ],
  ]);
  if (misfits.length === 0) return shown;
  return `${shown}\n\n${table(
    ['what', 'problem', 'trials', 'first', 'so they are'],
    misfits.map(({ name, problem, trials, example, leftOut }) => [
      name,
      problem,
      String(trials),
      String(example),
      leftOut ? 'left out' : 'taken without it',
    ]),
  )}`;
}
