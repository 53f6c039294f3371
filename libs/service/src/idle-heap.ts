/**
 * Node.js collects garbage as it allocates: a process that has come to rest would keep all that its last work has left. Once it
 * rests, its garbage is collected. That holds its loop as long as a collection does, when nobody asks anything.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { idleMs } from '@emotune/base';

/** Share of a core that a process takes at rest, at most. */
const restShare = 0.1;
/** So much may have become garbage since it was collected, or it is left. */
const leastBytes = 16 * 2 ** 20;
/** Or so much work was done, as a share of a core: what lies outside of the heap, and goes with the garbage that holds it, is not counted. */
const leastWork = 0.25;

const betweenMs = 50;

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

/** Of the processor, by this process. */
const workMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const takenBytes = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** @returns what ends it */
export function collectAtRest(everyMs = idleMs): () => void {
  const collect = collector();
  let left = 0;
  let collected = 0;
  let before = workMs();
  const timer = setInterval(() => {
    const now = workMs();
    const isAtRest = now - before <= restShare * everyMs;
    before = now;
    if (!isAtRest || (now - collected < leastWork * everyMs && takenBytes() < left + leastBytes)) return;
    collect();
    // The pages that this has emptied go back with the next. Who asks after all is answered in between.
    setTimeout(() => {
      collect();
      left = takenBytes();
      collected = workMs();
    }, betweenMs).unref();
  }, everyMs).unref();
  return () => clearInterval(timer);
}
