/** Long work as a stream of how far it is, and then what came of it. */
import type { Clock } from '@emotune/base';
import type { common, tuning } from '@emotune/proto';

const everyMs = 250;

/** What is reported in between is left out but for the latest. */
export async function* withProgress(
  clock: Clock,
  work: (onProgress: (progress: common.Progress) => void) => Promise<tuning.Model>,
): AsyncGenerator<tuning.ImportHubModelResponse> {
  let latest: common.Progress | undefined;
  const ended = new AbortController();
  const done = work((progress) => {
    latest = progress;
  }).finally(() => ended.abort());
  done.catch(() => {});
  while (!ended.signal.aborted) {
    await clock.sleep(everyMs, ended.signal).catch(() => {});
    if (latest) yield { progress: latest };
    latest = undefined;
  }
  yield { model: await done };
}
