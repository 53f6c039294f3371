/** Whether a version may be served in the place of another: not where it answers a subtask worse than chance explains. */
import { FailedPrecondition, InvalidArgument, NotFound } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { taskOf } from '@emotune/service/words';

/** Differences that chance makes less often than this, among all subtasks, are told. */
const significant = 0.05;

/** The subtasks that the first of a comparison answers worse, one line each. */
function regressionsOf({ tasks }: evaluation.Comparison): string[] {
  return tasks
    .filter(({ pAdjusted, firstBetter }) => pAdjusted < significant && !firstBetter)
    .map(
      ({ task, metric, first, second, n, pAdjusted }) =>
        `${taskOf(task)}: ${metric} ${second.toPrecision(3)} → ${first.toPrecision(3)} (n = ${n}, p = ${pAdjusted.toPrecision(2)})`,
    );
}

/**
 * Compares a candidate with the version that is served, both as name@version, on the newest rows that both were asked.
 * @returns what its user should know: that they were not asked the same rows
 * @throws FailedPrecondition naming each subtask that the candidate answers worse; Unavailable
 */
export async function expectNoRegression(
  channel: Channel,
  candidate: string,
  served: string,
): Promise<string[]> {
  const client = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
  let comparison: evaluation.Comparison;
  try {
    comparison = await client.call('compareEvaluations', { first: candidate, second: served });
  } catch (error) {
    const unlike =
      error instanceof NotFound || error instanceof InvalidArgument || error instanceof FailedPrecondition;
    if (!unlike) throw error;
    return [`${candidate} was not compared with ${served}, in whose place it is served: ${error.message}`];
  }
  const worse = regressionsOf(comparison);
  if (worse.length > 0)
    throw new FailedPrecondition(
      `${candidate} answers worse than ${served}, which is served: ${worse.join('; ')}; "emotune evaluation compare" shows all, and "--force" promotes it nevertheless`,
    );
  return [];
}
