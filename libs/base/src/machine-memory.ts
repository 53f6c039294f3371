/** What the machine, or the container that the process is in, has for it. */
import { totalmem } from 'node:os';

export function machineMemoryMiB(): number {
  // 0 where there is no limit, and a number beyond all machines where its kernel says so.
  const limit = process.constrainedMemory();
  return Math.floor(Math.min(totalmem(), limit > 0 ? limit : Number.POSITIVE_INFINITY) / 2 ** 20);
}
