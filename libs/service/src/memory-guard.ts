/** The thread that ends the process of a build for its memory, or when its service is gone, whatever the process does meanwhile. */
import { readFileSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { beyondMemory } from './build-message.js';

const { memoryBytes, parent } = workerData as { readonly memoryBytes: number; readonly parent: number };
const lookMs = 50;

/** Without files that are mapped, which cost nothing: the system drops them where it needs the place. */
function takenBytes(): number {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    const kibibytes = /^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1];
    if (kibibytes !== undefined) return 1024 * Number(kibibytes);
  } catch {
    // Not on Linux.
  }
  return process.memoryUsage.rss();
}

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  if (takenBytes() <= memoryBytes) return;
  writeSync(2, `${beyondMemory}\n`);
  process.kill(process.pid, 'SIGKILL');
}, lookMs);
