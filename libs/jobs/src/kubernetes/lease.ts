/**
 * Elections by Leases (coordination.k8s.io/v1), with the rules and times of client-go's leader election, so that `kubectl get lease`
 * shows who leads. A Lease has run out when its record has not changed for as long as it is for, by the clock of whoever looks: times
 * in it are for people, clocks of two machines are never compared. Its holder may stand still while another is elected, so what
 * it does must be fenced by something else.
 * Reference: k8s.io/client-go/tools/leaderelection.
 */
import type { Clock } from '@emotune/base';
import { HttpMethod, type V1ObjectMeta, type V1OwnerReference } from '@kubernetes/client-node';
import { type Api, ApiError } from './api.js';
import { pathOf } from './paths.js';

export interface LeaseSpec {
  /** Nobody, where it is missing. */
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  /** How often it has changed hands. */
  readonly leaseTransitions?: number;
}

/** As the API server has it; the client's V1Lease has dates in place of texts. */
interface Lease {
  readonly metadata: V1ObjectMeta;
  readonly spec?: LeaseSpec;
}

interface LeaseOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly namespace: string;
  /** Names of Leases begin with it. */
  readonly prefix: string;
  /** Of this process, and of no other. */
  readonly identity: string;
  /** With which the Leases go. */
  readonly owner?: V1OwnerReference | undefined;
  /** Hears of each change of who leads. */
  readonly tell: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Hears of what fails and is tried again, once until it works. */
  readonly onFailure: (what: string, error: unknown) => void;
}

const leaseSeconds = 15;
/** A holder that could not renew it for so long leads no more, before anybody else can. */
const renewWithinMs = 10_000;
/** One that hangs leaves time for another. */
const attemptMs = renewWithinMs / 2;
/** Between two looks, or renewals. */
const retryMs = 2_000;
/** A process that ends has no more time. */
const giveUpMs = 2_000;

/** @param unchangedMs for how long whoever looks has seen it as it is */
export function mayTake(spec: LeaseSpec, identity: string, unchangedMs: number): boolean {
  const { holderIdentity, leaseDurationSeconds = leaseSeconds } = spec;
  return !holderIdentity || holderIdentity === identity || unchangedMs > leaseDurationSeconds * 1000;
}

/** Held by that process from now on, or still. */
export function heldBy(identity: string, before: LeaseSpec | undefined, now: number): LeaseSpec {
  const still = before?.holderIdentity === identity;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: leaseSeconds,
    acquireTime: (still ? before.acquireTime : undefined) ?? microTime(now),
    renewTime: microTime(now),
    leaseTransitions: (before?.leaseTransitions ?? 0) + (before === undefined || still ? 0 : 1),
  };
}

/** Anybody's at once. */
export function givenUp({ leaseTransitions = 0 }: LeaseSpec, now: number): LeaseSpec {
  const time = microTime(now);
  return { leaseDurationSeconds: 1, acquireTime: time, renewTime: time, leaseTransitions };
}

function microTime(now: number): string {
  return new Date(now).toISOString().replace('Z', '000Z');
}

/** Somebody else was faster. */
function isOvertaken(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 409 || error.code === 404);
}

export class LeaseElection {
  constructor(private readonly options: LeaseOptions) {}

  /** Resolves when this process holds the Lease for that work. @throws the signal's reason once that aborts, nothing before */
  async win(work: string, signal: AbortSignal): Promise<HeldLease> {
    const { clock, identity, prefix, tell, onFailure } = this.options;
    const name = `${prefix}-${work.replaceAll(' ', '-')}`;
    const record = new LeaseRecord(this.options, name);
    let seen: { readonly text: string; readonly at: number } | undefined;
    let holder: string | undefined;
    let failing = false;
    for (; ; await clock.sleep(retryMs, signal)) {
      signal.throwIfAborted();
      const askedAt = clock.now();
      try {
        const lease = await record.find(signal);
        const spec = lease?.spec ?? {};
        const text = JSON.stringify(spec);
        if (seen?.text !== text) seen = { text, at: clock.now() };
        if (mayTake(spec, identity, clock.now() - seen.at)) {
          const held = await record.write(lease, heldBy(identity, lease?.spec, clock.now()), signal);
          return new HeldLease(this.options, record, held, askedAt);
        }
        if (spec.holderIdentity !== holder) {
          holder = spec.holderIdentity;
          tell('another process leads', { lease: name, holder });
        }
        failing = false;
      } catch (error) {
        signal.throwIfAborted();
        if (isOvertaken(error)) continue;
        if (!failing) onFailure(`standing for the Lease ${name}`, error);
        failing = true;
      }
    }
  }
}

/** One that this process holds, and renews until it gives it up. */
class HeldLease {
  private readonly losing = new AbortController();
  private readonly ending = new AbortController();
  private readonly renewing: Promise<void>;

  /** @param renewedAt by the clock, at the latest */
  constructor(
    private readonly options: LeaseOptions,
    private readonly record: LeaseRecord,
    lease: Lease,
    renewedAt: number,
  ) {
    const { identity, tell } = options;
    tell('this process leads', {
      ...{ lease: record.name, identity },
      transitions: lease.spec?.leaseTransitions,
    });
    this.renewing = this.renew(lease, renewedAt);
  }

  /** Aborts when it is lost, before another can hold it, unless this process stands still. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  private async renew(first: Lease, firstAt: number): Promise<void> {
    const { clock, identity } = this.options;
    const { signal } = this.ending;
    let lease: Lease | undefined = first;
    let renewedAt = firstAt;
    let failure = '';
    for (;;) {
      const left = renewedAt + renewWithinMs - clock.now();
      if (left <= 0)
        return this.lose(`it could not be renewed for ${renewWithinMs / 1000} s${failure && `: ${failure}`}`);
      await clock.sleep(Math.min(retryMs, left), signal).catch(() => {});
      if (signal.aborted) return;
      const askedAt = clock.now();
      const limitMs = Math.min(attemptMs, Math.max(1, renewedAt + renewWithinMs - askedAt));
      const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
      try {
        // What was written last, unless somebody has changed it.
        lease ??= await this.record.find(limit);
        const holder = lease?.spec?.holderIdentity ?? identity;
        if (holder !== identity) return this.lose(`${holder} holds it`);
        lease = await this.record.write(lease, heldBy(identity, lease?.spec, clock.now()), limit);
        renewedAt = askedAt;
      } catch (error) {
        lease = undefined;
        failure = (error as Error).message;
      }
    }
  }

  private lose(reason: string): void {
    const { tell, identity } = this.options;
    tell('this process leads no more', { lease: this.record.name, identity, reason });
    this.losing.abort(new Error(`the Lease ${this.record.name} is lost: ${reason}`));
  }

  /** Whoever looks next may hold it. */
  async giveUp(): Promise<void> {
    this.ending.abort();
    await this.renewing;
    if (this.lost.aborted) return;
    const { clock, identity, tell } = this.options;
    const limit = AbortSignal.timeout(giveUpMs);
    try {
      const lease = await this.record.find(limit);
      if (lease?.spec?.holderIdentity !== identity) return;
      await this.record.write(lease, givenUp(lease.spec, clock.now()), limit);
      tell('this process leads no more', { lease: this.record.name, identity, reason: 'it has given it up' });
    } catch {
      // Then it runs out.
    }
  }
}

/** A Lease at the API server: each request is tried once. */
class LeaseRecord {
  constructor(
    private readonly options: LeaseOptions,
    readonly name: string,
  ) {}

  async find(signal: AbortSignal): Promise<Lease | undefined> {
    const { api, namespace } = this.options;
    try {
      return await api.once<Lease>(HttpMethod.GET, pathOf(namespace, 'leases', this.name), { signal });
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** @throws ApiError 409 where it is not as it was found any more. */
  async write(found: Lease | undefined, spec: LeaseSpec, signal: AbortSignal): Promise<Lease> {
    const { api, namespace, owner } = this.options;
    const kind = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    if (found) {
      const body = { ...kind, metadata: found.metadata, spec };
      return api.once(HttpMethod.PUT, pathOf(namespace, 'leases', this.name), { body, signal });
    }
    const metadata = { name: this.name, namespace, ...(owner && { ownerReferences: [owner] }) };
    return api.once(HttpMethod.POST, pathOf(namespace, 'leases'), {
      body: { ...kind, metadata, spec },
      signal,
    });
  }
}
