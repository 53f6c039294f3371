/** Work of one kind, whose pieces would hold the event loop together, is done in turn: whatever else waits gets in between. */

/** So much is done in a round of the loop: what comes first in it, and what follows until so much time has passed. */
const roundMs = 5;

export class Turns {
  private readonly waiting: (() => void)[] = [];
  private started = false;

  /** Resolves when it is the caller's turn, in the order in which they ask. */
  take(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (this.started) return;
      this.started = true;
      setImmediate(() => this.round());
    });
  }

  private async round(): Promise<void> {
    const begun = performance.now();
    do {
      this.waiting.shift()!();
      // Who was let in works before this goes on.
      await undefined;
    } while (this.waiting.length > 0 && performance.now() - begun < roundMs);
    if (this.waiting.length > 0) setImmediate(() => this.round());
    else this.started = false;
  }
}
