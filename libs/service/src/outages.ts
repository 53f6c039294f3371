/** What fails again and again, told once: when it begins, when its reason changes, and when it is over. */
import { policyOf, Unavailable } from '@emotune/base';
import type { Log } from './log.js';

interface Outage {
  failures: number;
  /** Of what was told. */
  readonly told: Set<string>;
}

/** An outage of a dependency has many faces, which are one reason. */
function reasonOf(error: unknown): string {
  return error instanceof Unavailable ? error.name : String(error);
}

/** Reasons of one outage that are told; a message that changes every time must not fill the log either. */
const mostTold = 10;

export class Outages {
  private readonly outages = new Map<string, Outage>();

  constructor(private readonly log: Log) {}

  /** @param what For the log: what failed, and that it will be tried again. */
  failed(what: string, error: unknown, fields: Readonly<Record<string, unknown>> = {}): void {
    const key = keyOf(what, fields);
    const outage = this.outages.get(key) ?? { failures: 0, told: new Set() };
    this.outages.set(key, outage);
    outage.failures++;
    const reason = reasonOf(error);
    if (outage.told.has(reason) || outage.told.size === mostTold) return;
    outage.told.add(reason);
    const say = policyOf(error).retryable ? 'warn' : 'error';
    this.log[say](`${what} failed and will be tried again`, { ...fields, error });
  }

  /** It has succeeded, or will not be tried any more. */
  over(what: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const key = keyOf(what, fields);
    const outage = this.outages.get(key);
    if (!outage) return;
    this.outages.delete(key);
    this.log.info(`${what} goes on`, { ...fields, failures: outage.failures });
  }
}

function keyOf(what: string, fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([what, fields]);
}
