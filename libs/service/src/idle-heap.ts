/**
 * Node.js collects garbage as it allocates: a process that has come to rest would keep all that its last work has left. Once it
 * rests, its garbage is collected. That holds its loop as long as a collection does, when nobody asks anything.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { idleMs } from '@emotune/base';

/** Share of a core that a process takes at rest, at most. */
const restShare = 0.25;
/** So much may have become garbage since it was collected, or it is left. */
const leastBytes = 16 * 2 ** 20;

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

const takenBytes = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** @returns what ends it */
export function collectAtRest(everyMs = idleMs): () => void {
  const collect = collector();
  let left = 0;
  let before = process.cpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    if (user + system > 1000 * restShare * everyMs || takenBytes() < left + leastBytes) return;
    collect();
    // The pages that this has emptied go back with the next.
    setImmediate(() => {
      collect();
      left = takenBytes();
    });
  }, everyMs).unref();
  return () => clearInterval(timer);
}
