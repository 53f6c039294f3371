/** The contract that every bus keeps. */
import { randomUUID } from 'node:crypto';
import { AlreadyExists, Unavailable } from '@emotune/base';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bus, type BusEvent, deadLetterTopic, Poison, type Retry } from './bus.js';

/** A topic and group name that no other test uses: a broker is shared by all. */
export function freshName(what: string): string {
  return `emotune.test.${what}-${randomUUID()}.v1`;
}

export function testEvent(topic: string, key: string, text = ''): BusEvent {
  const id = randomUUID();
  return {
    id,
    topic,
    key,
    payload: new TextEncoder().encode(text),
    headers: { 'event-id': id, 'content-type': 'application/x-protobuf' },
  };
}

export function textOf(event: BusEvent): string {
  return new TextDecoder().decode(event.payload);
}

/** Polls until `check` no longer throws. */
async function eventually(check: () => void): Promise<void> {
  const passes = () => {
    check();
    return true;
  };
  await expect.poll(passes, { timeout: 200_000, interval: 5 }).toBe(true);
}

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/**
 * `create` is called for each test, and several times in one that needs several processes.
 * @param between Whether it carries events between processes: between two that `create` gives.
 */
export function busContract(
  name: string,
  create: (retry: Retry) => Promise<Bus> | Bus,
  between: 'one process' | 'processes',
): void {
  describe(`${name} keeps the bus contract`, () => {
    const retry = { tries: 4, pauseMs: 2, longestPauseMs: 20 };
    const buses: Bus[] = [];
    const open = async () => {
      const bus = await create(retry);
      buses.push(bus);
      return bus;
    };
    afterEach(async () => {
      await Promise.all(buses.splice(0).map((bus) => bus.close()));
    });

    it('delivers an event whole to every group that takes its topic, and to no other', async () => {
      const bus = await open();
      const topic = freshName('whole');
      const seen: Record<string, BusEvent[]> = { left: [], right: [], other: [] };
      const take = (group: string, of: string) =>
        bus.subscribe(freshName(group), [of], async (event) => void seen[group].push(event));
      await Promise.all([take('left', topic), take('right', topic), take('other', freshName('other'))]);
      const event = testEvent(topic, 'key', 'payload');
      const traced = { ...event, headers: { ...event.headers, traceparent: '00-1-2-01' } };
      await bus.publish([traced]);
      await eventually(() => {
        expect(seen['left']).toEqual([traced]);
        expect(seen['right']).toEqual([traced]);
      });
      expect(seen['other']).toEqual([]);
    });

    it('shares the events of a group among its members', async () => {
      const bus = await open();
      const topic = freshName('shared');
      const group = freshName('group');
      const seen: string[] = [];
      for (let member = 0; member < (between === 'processes' ? 3 : 1); member++) {
        const of = member === 0 ? bus : await open();
        await of.subscribe(group, [topic], async (event) => void seen.push(event.id));
      }
      const events = Array.from({ length: 30 }, (_, i) => testEvent(topic, `key-${i}`));
      await bus.publish(events);
      await eventually(() => expect(new Set(seen)).toEqual(new Set(events.map(({ id }) => id))));
    });

    it('tells how many events a group has not taken yet', async () => {
      const bus = await open();
      const [topic, idle, group] = [freshName('lag'), freshName('idle'), freshName('group')];
      const { opened, open: release } = gate();
      await bus.subscribe(group, [topic, idle], () => opened);
      const lag = async () => {
        const lags = (await bus.lag()).filter((each) => each.group === group);
        return Object.fromEntries(lags.map((each) => [each.topic, each.events]));
      };
      expect(await lag()).toEqual({ [topic]: 0, [idle]: 0 });
      const published = bus.publish(['a', 'b', 'a'].map((key) => testEvent(topic, key)));
      await expect.poll(lag, { timeout: 200_000 }).toEqual({ [topic]: 3, [idle]: 0 });
      release();
      await published;
      await expect.poll(lag, { timeout: 200_000 }).toEqual({ [topic]: 0, [idle]: 0 });
    });

    it('keeps the order of each key, also when handlers fail and take their time', async () => {
      const bus = await open();
      const topic = freshName('ordered');
      const handled: Record<string, string[]> = { a: [], b: [], c: [] };
      // Each fails once: more failures of one event would make it a dead letter.
      const failed = new Set<string>();
      await bus.subscribe(freshName('group'), [topic], async (event) => {
        const text = textOf(event);
        await new Promise((resolve) => setTimeout(resolve, Number(text) % 3));
        if (Number(text) % 4 === 3 && !failed.has(event.key + text)) {
          failed.add(event.key + text);
          throw new Error('not now');
        }
        if (!handled[event.key].includes(text)) handled[event.key].push(text);
      });
      const wanted = Array.from({ length: 12 }, (_, i) => String(i));
      await Promise.all(
        wanted.map((text) => bus.publish(Object.keys(handled).map((key) => testEvent(topic, key, text)))),
      );
      await eventually(() => expect(handled).toEqual({ a: wanted, b: wanted, c: wanted }));
    });

    it('lets no key wait for the handler of another', async () => {
      const bus = await open();
      const topic = freshName('independent');
      const handled: string[] = [];
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      await bus.subscribe(freshName('group'), [topic], async (event) => {
        if (event.key === 'slow') await gate;
        handled.push(event.key);
      });
      const published = bus.publish([testEvent(topic, 'slow'), testEvent(topic, 'quick')]);
      await eventually(() => expect(handled).toEqual(['quick']));
      release();
      await published;
      await eventually(() => expect(handled).toEqual(['quick', 'slow']));
    });

    it('puts an event that fails every try among the dead letters, and goes on with its key', async () => {
      const bus = await open();
      const topic = freshName('poisoned');
      const group = freshName('group');
      const handled: string[] = [];
      const dead: BusEvent[] = [];
      let tries = 0;
      await bus.subscribe(freshName('undertaker'), [deadLetterTopic(topic)], async (event) => {
        dead.push(event);
      });
      await bus.subscribe(group, [topic], async (event) => {
        if (textOf(event) === 'poison') {
          tries++;
          throw new RangeError('indigestible');
        }
        handled.push(textOf(event));
      });
      const poison = testEvent(topic, 'key', 'poison');
      await bus.publish([poison, testEvent(topic, 'key', 'food')]);
      await eventually(() => {
        expect(handled).toEqual(['food']);
        expect(dead).toEqual([
          {
            ...poison,
            topic: deadLetterTopic(topic),
            headers: { ...poison.headers, group, reason: 'RangeError: indigestible' },
          },
        ]);
      });
      expect(tries).toBe(retry.tries);
    });

    it('tries an event that is poison once', async () => {
      const bus = await open();
      const topic = freshName('once');
      const handled: string[] = [];
      await bus.subscribe(freshName('group'), [topic], async (event) => {
        handled.push(textOf(event));
        if (textOf(event) === 'poison') throw new Poison('of another schema');
      });
      await bus.publish([testEvent(topic, 'key', 'poison'), testEvent(topic, 'key', 'food')]);
      await eventually(() => expect(handled).toEqual(['poison', 'food']));
    });

    it('gives an event that names a group to that group alone', async () => {
      const bus = await open();
      const topic = freshName('meant');
      const [left, right] = [freshName('left'), freshName('right')];
      const seen: string[] = [];
      for (const group of [left, right])
        await bus.subscribe(group, [topic], async (event) => void seen.push(`${textOf(event)} ${group}`));
      const meant = testEvent(topic, 'key', 'meant');
      await bus.publish([
        { ...meant, headers: { ...meant.headers, group: right } },
        testEvent(topic, 'key', 'all'),
      ]);
      await eventually(() => expect(seen).toHaveLength(3));
      expect(seen.sort()).toEqual([`all ${left}`, `all ${right}`, `meant ${right}`].sort());
    });

    it('lists dead letters page by page, each once, until they are sent again', async () => {
      const bus = await open();
      const topic = freshName('kept');
      const group = freshName('group');
      let mended = false;
      const handled: string[] = [];
      await bus.subscribe(group, [topic], async (event) => {
        if (!mended) throw new Poison(`cannot read ${textOf(event)}`);
        handled.push(textOf(event));
      });
      const poison = ['0', '1', '2'].map((text) => testEvent(topic, 'key', text));
      const listed = (after = '', limit = 10, which = { topic, group }) =>
        bus.deadLetters.list(which, { after, limit });
      await bus.publish(poison);
      await expect.poll(() => listed(), { timeout: 200_000, interval: 50 }).toHaveLength(3);
      // One dies again, and is the same letter.
      await bus.publish([poison[0]]);
      const texts = async () => (await listed()).map(({ event }) => textOf(event));
      await expect.poll(texts, { timeout: 200_000, interval: 50 }).toEqual(['1', '2', '0']);
      const [first, second] = await listed('', 2);
      expect(first).toMatchObject({
        ...{ id: `${group}/${poison[1].id}`, group, reason: 'Poison: cannot read 1' },
        event: { ...poison[1], headers: { ...poison[1].headers, group } },
      });
      expect(Math.abs(first.at.getTime() - Date.now())).toBeLessThan(3_600_000);
      expect((await listed(second.place, 2)).map(({ event }) => textOf(event))).toEqual(['0']);
      expect(await listed('', 10, { topic: '', group: freshName('other') })).toEqual([]);
      expect(await listed('', 10, { topic: '', group })).toHaveLength(3);
      expect(await bus.deadLetters.find([second.id, 'nobody/nothing'])).toEqual([second]);
      mended = true;
      const unsent = bus.deadLetters.resend([first.id], () => Promise.reject(new Unavailable('not now')));
      await expect(unsent).rejects.toThrow(Unavailable);
      expect(await listed()).toHaveLength(3);
      await bus.deadLetters.resend(
        (await listed()).map(({ id }) => id),
        (events) => bus.publish(events),
      );
      await eventually(() => expect(handled).toEqual(['1', '2', '0']));
      expect(await listed()).toEqual([]);
    });

    it('never gives up on an event whose handler lacks what it needs', async () => {
      const bus = await open();
      const topic = freshName('patient');
      let tries = 0;
      await bus.subscribe(freshName('group'), [topic], async () => {
        if (++tries <= 3 * retry.tries) throw new Unavailable('the database is away');
      });
      await bus.publish([testEvent(topic, 'key')]);
      await eventually(() => expect(tries).toBe(3 * retry.tries + 1));
    });

    it('keeps what comes while a group has no member', async () => {
      const bus = await open();
      const topic = freshName('absent');
      const group = freshName('group');
      const leave = await bus.subscribe(group, [topic], async () => {});
      await leave();
      const published = bus.publish([testEvent(topic, 'key', 'late')]);
      const seen: string[] = [];
      await bus.subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
      await published;
      await eventually(() => expect(seen).toContain('late'));
    });

    it.each(['leaving', 'closing'])('waits for handlers when %s', async (how) => {
      const bus = await open();
      const topic = freshName('waited');
      let finish = () => {};
      let started = false;
      let finished = false;
      const leave = await bus.subscribe(freshName('group'), [topic], async () => {
        started = true;
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        finished = true;
      });
      const published = bus.publish([testEvent(topic, 'key')]).catch(() => {});
      await eventually(() => expect(started).toBe(true));
      const left = (how === 'leaving' ? leave() : bus.close()).then(() => expect(finished).toBe(true));
      setTimeout(finish, 20);
      await left;
      await published;
    });

    it('takes one subscription of a group, to all of its topics', async () => {
      const bus = await open();
      const topics = [freshName('left'), freshName('right')];
      const group = freshName('group');
      const seen: string[] = [];
      const leave = await bus.subscribe(group, topics, async (event) => void seen.push(event.topic));
      const again = bus.subscribe(group, [freshName('more')], async () => {});
      await expect(again).rejects.toThrow(AlreadyExists);
      await expect(again).rejects.toThrow(group);
      await bus.publish(topics.map((topic) => testEvent(topic, 'key')));
      await eventually(() => expect(seen.sort()).toEqual(topics));
      await leave();
      await bus.subscribe(group, topics, async () => {});
    });

    it('starts with what is published after the first subscription of a group', async () => {
      const bus = await open();
      const topic = freshName('started');
      const seen: string[] = [];
      await bus.publish([testEvent(topic, 'key', 'before')]);
      await bus.subscribe(freshName('group'), [topic], async (event) => void seen.push(textOf(event)));
      await bus.publish([testEvent(topic, 'key', 'after')]);
      await eventually(() => expect(seen).toContain('after'));
      expect(seen).toEqual(['after']);
    });

    it('delivers an event whose handler failed again, unchanged, before the next of its key', async () => {
      const bus = await open();
      const topic = freshName('again');
      const seen: BusEvent[] = [];
      await bus.subscribe(freshName('group'), [topic], async (event) => {
        seen.push(event);
        if (seen.length < retry.tries) throw new Error('not now');
      });
      const events = [testEvent(topic, 'key', 'first'), testEvent(topic, 'key', 'second')];
      await bus.publish(events);
      await eventually(() => expect(seen).toHaveLength(retry.tries + 1));
      expect(seen).toEqual([...Array(retry.tries).fill(events[0]), events[1]]);
    });

    it('does not count against an event what its handler lacked', async () => {
      const bus = await open();
      const topic = freshName('blameless');
      const dead: BusEvent[] = [];
      let calls = 0;
      await bus.subscribe(freshName('undertaker'), [deadLetterTopic(topic)], async (event) => {
        dead.push(event);
      });
      let done = false;
      await bus.subscribe(freshName('group'), [topic], async () => {
        calls++;
        if (calls % 3 !== 0) throw new Unavailable('the database is away');
        if (calls < 3 * retry.tries) throw new Error('not now');
        done = true;
      });
      await bus.publish([testEvent(topic, 'key')]);
      await eventually(() => expect(done).toBe(true));
      expect(dead).toEqual([]);
    });

    it('lets no other key wait for one that fails', async () => {
      const bus = await open();
      const topic = freshName('failing');
      const handled: string[] = [];
      const mended = gate();
      let failing = true;
      await bus.subscribe(freshName('group'), [topic], async (event) => {
        if (event.key === 'poison' && failing) throw new Unavailable('not yet');
        handled.push(textOf(event));
        if (handled.length === 3) mended.open();
      });
      const published = bus.publish([
        testEvent(topic, 'poison', 'late'),
        ...['0', '1', '2'].map((text) => testEvent(topic, 'food', text)),
      ]);
      await mended.opened;
      expect(handled).toEqual(['0', '1', '2']);
      failing = false;
      await published;
      await eventually(() => expect(handled).toEqual(['0', '1', '2', 'late']));
    });

    it('hands nothing to a member that has left, and what it had not handled to the next, in order', async () => {
      const bus = await open();
      const topic = freshName('left');
      const group = freshName('group');
      const tried = gate();
      let calls = 0;
      const leave = await bus.subscribe(group, [topic], async () => {
        calls++;
        tried.open();
        throw new Unavailable('not with me');
      });
      const published = bus.publish(['0', '1', '2'].map((text) => testEvent(topic, 'key', text)));
      await tried.opened;
      await leave();
      const before = calls;
      const seen: string[] = [];
      await bus.subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
      await published;
      await eventually(() => expect(seen).toEqual(['0', '1', '2']));
      expect(calls).toBe(before);
    });

    it.runIf(between === 'processes')('carries events from one process to another', async () => {
      const [here, there] = [await open(), await open()];
      const topic = freshName('carried');
      const seen: string[] = [];
      await there.subscribe(freshName('group'), [topic], async (event) => void seen.push(textOf(event)));
      await here.publish([testEvent(topic, 'key', 'news')]);
      await eventually(() => expect(seen).toEqual(['news']));
    });

    it.runIf(between === 'processes')(
      'keeps the order of each key among the members of a group in several processes',
      async () => {
        const topic = freshName('ordered');
        const group = freshName('group');
        const begun: Record<string, string[]> = { a: [], b: [], c: [], d: [] };
        const keys = Object.keys(begun);
        const running = new Set<string>();
        const overlaps: string[] = [];
        const failed = new Set<string>();
        const buses = [await open(), await open()];
        for (const bus of buses)
          await bus.subscribe(group, [topic], async (event) => {
            const text = textOf(event);
            if (running.has(event.key)) overlaps.push(event.key);
            running.add(event.key);
            await new Promise((resolve) => setTimeout(resolve, Number(text) % 3));
            running.delete(event.key);
            if (Number(text) % 5 === 4 && !failed.has(event.key + text)) {
              failed.add(event.key + text);
              throw new Error('not now');
            }
            begun[event.key].push(text);
          });
        const wanted = Array.from({ length: 40 }, (_, i) => String(i));
        for (const text of wanted) {
          const bus = buses[Number(text) % 2];
          await bus.publish(keys.map((key) => testEvent(topic, key, text)));
        }
        await eventually(() => expect(Object.values(begun).flat()).toHaveLength(keys.length * wanted.length));
        expect(begun).toEqual(Object.fromEntries(keys.map((key) => [key, wanted])));
        expect(overlaps).toEqual([]);
      },
    );

    it.runIf(between === 'processes')(
      'passes what a process that closes has not handled to another',
      async () => {
        const topic = freshName('passed');
        const group = freshName('group');
        const [leaving, staying] = [await open(), await open()];
        const tried = gate();
        await leaving.subscribe(group, [topic], async () => {
          tried.open();
          throw new Unavailable('not with me');
        });
        await leaving.publish(['0', '1', '2'].map((text) => testEvent(topic, 'key', text)));
        await tried.opened;
        await leaving.close();
        const seen: string[] = [];
        await staying.subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
        await eventually(() => expect(seen).toEqual(['0', '1', '2']));
      },
    );

    it('refuses to publish once it is closed', async () => {
      const bus = await open();
      await bus.close();
      await expect(bus.publish([testEvent(freshName('closed'), 'key')])).rejects.toThrow(Unavailable);
    });
  });
}
