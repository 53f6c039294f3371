/** Which calls are taken: what they would wait for may not take too long, nor hold too much memory. */
import { ResourceExhausted } from '@emotune/base';

export interface AdmissionLimits {
  /** Longest time, in seconds, that others may take while a call has its turns. */
  readonly waitSeconds: number;
  /** Characters of the texts of all calls that are open. */
  readonly characters: number;
}

/** What a call asks for. */
export interface Demand {
  /** The model's files. */
  readonly model: string;
  readonly caller: string;
  /** Tokens, about. */
  readonly work: number;
  readonly characters: number;
}

/** A model's work. */
interface Load {
  /** Tokens that have been taken and are not done. */
  owed: number;
  /** Open calls by caller. */
  readonly calls: Map<string, number>;
  /** Calls that are being answered: the others wait for the model to be loaded. */
  answering: number;
  /** Since when, in seconds, what is done next has been under way. */
  since: number;
  /** Tokens that were done lately, and in how many seconds; both fade. */
  done: number;
  seconds: number;
}

/** In so many seconds what was measured loses half of its weight. */
const halfLife = 10;
/** Before so many seconds of measurement nothing is said about time. */
const leastSeconds = 0.5;
const keptLoads = 64;

const newLoad = (): Load => ({
  owed: 0,
  calls: new Map(),
  answering: 0,
  since: 0,
  done: 0,
  seconds: 0,
});

/**
 * Seconds that others take while the call has its turns with them. A caller's only call is never kept from them, and of a load
 * that has not been measured nothing is known.
 */
function secondsOfOthers({ owed, calls, done, seconds }: Load, { caller, work }: Demand): number {
  if (!calls.has(caller) || seconds < leastSeconds || done === 0) return 0;
  const open = [...calls.values()].reduce((sum, count) => sum + count, 0);
  return (Math.min(owed, work * open) * seconds) / done;
}

/** A call that was taken. */
export interface Admitted {
  /** Its model is there. */
  begin(): void;
  /** So much of its work has been done. */
  done(work: number): void;
  /** It has ended, whether or not all was done. */
  leave(): void;
}

export class Admission {
  /** By model, the last asked one last. */
  private readonly loads = new Map<string, Load>();
  private characters = 0;

  /** @param now seconds of a clock that only goes forward */
  constructor(
    private readonly limits: AdmissionLimits,
    private readonly now: () => number,
  ) {}

  /** @throws ResourceExhausted, with when to ask again. */
  enter(demand: Demand): Admitted {
    const { model, caller, work, characters } = demand;
    const load = this.loads.get(model) ?? newLoad();
    this.check(load, demand);
    this.loads.delete(model);
    this.loads.set(model, load);
    this.forget();
    this.characters += characters;
    load.owed += work;
    load.calls.set(caller, (load.calls.get(caller) ?? 0) + 1);
    let left = work;
    let begun = false;
    return {
      begin: () => {
        begun = true;
        if (load.answering++ === 0) load.since = this.now();
      },
      done: (some) => {
        this.measure(load, some);
        load.owed -= some;
        left -= some;
      },
      leave: () => {
        this.characters -= characters;
        load.owed -= left;
        if (begun) load.answering--;
        const others = load.calls.get(caller)! - 1;
        if (others > 0) load.calls.set(caller, others);
        else load.calls.delete(caller);
      },
    };
  }

  private check(load: Load, demand: Demand): void {
    const others = secondsOfOthers(load, demand);
    const { waitSeconds, characters: most } = this.limits;
    if (others > waitSeconds) {
      const seconds = Math.ceil(others - waitSeconds);
      throw new ResourceExhausted(
        `too much waits: others would take about ${Math.ceil(others)} s meanwhile, at most ${waitSeconds} s are allowed; ask again in ${seconds} s`,
        { retryAfterMs: 1000 * seconds },
      );
    }
    const characters = this.characters + demand.characters;
    if (this.characters > 0 && characters > most)
      throw new ResourceExhausted(
        `too much waits: ${characters} characters of text, at most ${most} are allowed; ask again in 1 s`,
        { retryAfterMs: 1000 },
      );
  }

  private measure(load: Load, work: number): void {
    const now = this.now();
    const elapsed = now - load.since;
    const fading = 0.5 ** (elapsed / halfLife);
    load.done = load.done * fading + work;
    load.seconds = load.seconds * fading + elapsed;
    load.since = now;
  }

  private forget(): void {
    for (const [model, { calls }] of this.loads) {
      if (this.loads.size <= keptLoads) return;
      if (calls.size === 0) this.loads.delete(model);
    }
  }
}
