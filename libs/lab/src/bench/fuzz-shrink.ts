/** Smaller requests that still show what a larger one has shown. */
import type { Probe } from './fuzz-requests.js';
import type { Message } from './fuzz-values.js';

/** Requests that are tried to make one smaller. */
const mostTries = 150;

type Holder = Record<string | number, unknown>;

function isHolder(value: unknown): value is Holder {
  return value !== null && typeof value === 'object' && !ArrayBuffer.isView(value);
}

/** Smaller values of the same kind, the smallest first. */
function smaller(value: unknown): unknown[] {
  if (Array.isArray(value) && value.length > 1)
    return [[], value.slice(0, 1), value.slice(0, Math.ceil(value.length / 2))];
  if (typeof value === 'string' && value.length > 8) return ['', value.slice(0, Math.ceil(value.length / 2))];
  return [];
}

/** Each change that would make it smaller: the change, and how it is taken back. */
function* changes(holder: Holder): Generator<{ readonly apply: () => void; readonly undo: () => void }> {
  for (const key of Object.keys(holder)) {
    const before = holder[key];
    const undo = () => {
      holder[key] = before;
    };
    if (!Array.isArray(holder)) yield { apply: () => delete holder[key], undo };
    if (!(key in holder)) continue;
    for (const value of smaller(before))
      yield {
        apply: () => {
          holder[key] = value;
        },
        undo,
      };
    if (isHolder(holder[key])) yield* changes(holder[key]);
  }
}

/** The smallest found of which `fails` holds, as it does of the probe. */
export async function shrunk(probe: Probe, fails: (smaller: Probe) => Promise<boolean>): Promise<Probe> {
  if (probe.messages.some(Buffer.isBuffer)) return probe;
  const messages = structuredClone(probe.messages) as Message[];
  let tries = 0;
  for (const message of messages)
    for (const { apply, undo } of changes(message)) {
      if (tries++ >= mostTries) break;
      apply();
      if (!(await fails({ ...probe, messages }))) undo();
    }
  return { ...probe, messages };
}
