/** Work that would hold the event loop together is done in turn, so that others get in between. */

/** So much is done in a round of the loop: what comes first in it, and what follows until so much time has passed. */
const roundMs = 5;

const waiting: (() => void)[] = [];
let started = false;

async function round(): Promise<void> {
  const begun = performance.now();
  do {
    waiting.shift()!();
    // Who was let in works before this goes on.
    await undefined;
  } while (waiting.length > 0 && performance.now() - begun < roundMs);
  if (waiting.length > 0) setImmediate(round);
  else started = false;
}

/** Resolves when it is the caller's turn in this thread, in the order in which they ask. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (started) return;
    started = true;
    setImmediate(round);
  });
}
