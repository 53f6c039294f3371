/** The bus of embedded mode: delivers within the process. What it has not delivered is kept by the outboxes. */
import { type Clock, systemClock, Unavailable } from '@emotune/base';
import {
  type Bus,
  type BusEvent,
  deadLetter,
  isFor,
  type Lag,
  Poison,
  pauseAfter,
  type Retry,
  standardRetry,
  twice,
} from './bus.js';
import { type LetterBox, MemoryLetters } from './letter-box.js';

interface Member {
  readonly topics: ReadonlySet<string>;
  readonly handle: (event: BusEvent) => Promise<void>;
  /** Calls of `handle` that run. */
  readonly running: Set<Promise<void>>;
}

interface Group {
  readonly name: string;
  /** Every topic that its member ever asked for, with how many of its events are not done with. */
  readonly topics: Map<string, number>;
  member: Member | undefined;
  /** By topic and key, what was published last: the next event of these waits for it. */
  readonly tails: Map<string, Promise<void>>;
  /** Called when its member comes. */
  readonly waiting: Set<() => void>;
}

export class MemoryBus implements Bus {
  private readonly groups = new Map<string, Group>();
  private readonly closing = new AbortController();

  constructor(
    private readonly clock: Clock = systemClock,
    private readonly retry: Retry = standardRetry,
    /** Keeps its dead letters; default: for as long as the process lives. */
    readonly deadLetters: LetterBox = new MemoryLetters(clock),
  ) {}

  async publish(events: readonly BusEvent[]): Promise<void> {
    this.closing.signal.throwIfAborted();
    await Promise.all(
      events.flatMap((event) =>
        [...this.groups.values()]
          .filter((group) => group.topics.has(event.topic) && isFor(event, group.name))
          .map((group) => this.enqueue(group, event)),
      ),
    );
  }

  async subscribe(
    name: string,
    topics: readonly string[],
    handle: (event: BusEvent) => Promise<void>,
  ): Promise<() => Promise<void>> {
    this.closing.signal.throwIfAborted();
    const group: Group = this.groups.get(name) ?? {
      name,
      topics: new Map(),
      member: undefined,
      tails: new Map(),
      waiting: new Set(),
    };
    if (group.member !== undefined) throw twice(name);
    this.groups.set(name, group);
    const member: Member = { topics: new Set(topics), handle, running: new Set() };
    for (const topic of topics) group.topics.set(topic, group.topics.get(topic) ?? 0);
    group.member = member;
    for (const wake of group.waiting) wake();
    return async () => {
      if (group.member === member) group.member = undefined;
      await Promise.allSettled(member.running);
    };
  }

  async lag(): Promise<Lag[]> {
    return [...this.groups.values()]
      .filter(({ member }) => member !== undefined)
      .flatMap(({ name: group, topics }) => [...topics].map(([topic, events]) => ({ group, topic, events })));
  }

  async close(): Promise<void> {
    this.closing.abort(new Unavailable('The event bus is closed'));
    await Promise.allSettled([...this.groups.values()].flatMap(({ member }) => [...(member?.running ?? [])]));
  }

  /** Delivers after the events of this topic and key that came before. */
  private async enqueue(group: Group, event: BusEvent): Promise<void> {
    const { topic, key } = event;
    const lane = JSON.stringify([topic, key]);
    const count = (change: number) => group.topics.set(topic, (group.topics.get(topic) ?? 0) + change);
    count(1);
    const before = group.tails.get(lane) ?? Promise.resolve();
    const delivered = before.catch(() => {}).then(() => this.deliver(group, event));
    group.tails.set(lane, delivered);
    try {
      await delivered;
    } finally {
      count(-1);
      if (group.tails.get(lane) === delivered) group.tails.delete(lane);
    }
  }

  private async deliver(group: Group, event: BusEvent): Promise<void> {
    const { signal } = this.closing;
    let tries = 0;
    for (let calls = 1; ; calls++) {
      const member = await this.memberFor(group, event.topic);
      const running = (async () => member.handle(event))();
      member.running.add(running);
      try {
        await running;
        return;
      } catch (error) {
        if (error instanceof Poison || (!(error instanceof Unavailable) && ++tries === this.retry.tries)) {
          const dead = deadLetter(event, group.name, error);
          await this.deadLetters.add(dead);
          await this.publish([dead]);
          return;
        }
      } finally {
        member.running.delete(running);
      }
      await this.clock.sleep(pauseAfter(calls, this.retry), signal);
    }
  }

  /** The member, once there is one that takes the topic. */
  private async memberFor(group: Group, topic: string): Promise<Member> {
    const { signal } = this.closing;
    for (;;) {
      signal.throwIfAborted();
      if (group.member?.topics.has(topic)) return group.member;
      await new Promise<void>((resolve) => {
        const wake = () => {
          group.waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        group.waiting.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
  }
}
