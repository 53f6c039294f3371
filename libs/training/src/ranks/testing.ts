import { LostRank } from '../failures.js';
import type { Link } from './ring.js';

/** Links of so many ranks in one process. `cut` ends what a rank sends and hears. */
export function linksInMemory(ranks: number): (Link & { cut(): void })[] {
  const inboxes = Array.from({ length: ranks }, () => ({
    messages: [] as Uint8Array[],
    waiting: undefined as ((message: Uint8Array | undefined) => void) | undefined,
    cut: false,
  }));
  return inboxes.map((inbox, rank) => {
    const next = inboxes[(rank + 1) % ranks];
    const end = (box: typeof inbox) => {
      box.cut = true;
      box.waiting?.(undefined);
    };
    return {
      send: async (bytes) => {
        if (next.cut) throw new LostRank('the next rank is gone');
        const message = bytes.slice();
        const { waiting } = next;
        next.waiting = undefined;
        if (waiting) waiting(message);
        else next.messages.push(message);
      },
      receive: async () => {
        const message =
          inbox.messages.shift() ??
          (inbox.cut
            ? undefined
            : await new Promise<Uint8Array | undefined>((resolve) => {
                inbox.waiting = resolve;
              }));
        if (message === undefined) throw new LostRank('the rank before is gone');
        return message;
      },
      cut: () => {
        end(inbox);
        end(next);
      },
    };
  });
}
