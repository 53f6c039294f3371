import { InvalidArgument, NotFound } from '@emotune/base';
import { emitAgain, type Letter, topics } from '@emotune/events';
import { events, messageType } from '@emotune/proto';
import { Controller, type DynamicModule, Inject, Module } from '@nestjs/common';
import type { ServiceContext } from './host.js';
import { timestamp } from './messages.js';
import { paged, pageOf } from './paging.js';

type DeadLettersContext = Pick<ServiceContext, 'database' | 'bus' | 'outbox'>;

const mostIds = 1000;

class DeadLetters {
  constructor(private readonly context: DeadLettersContext) {}

  async list(request: events.ListDeadLettersRequest): Promise<events.ListDeadLettersResponse> {
    const { topic, group } = request;
    const { limit, after } = pageOf(request);
    const letters = await this.context.bus.deadLetters.list({ topic, group }, { after, limit: limit + 1 });
    const { shown, nextPageToken } = paged(letters, limit, ({ place }) => place);
    return { deadLetters: shown.map(messageOf), nextPageToken };
  }

  async get(id: string): Promise<events.DeadLetter> {
    const [letter] = await this.context.bus.deadLetters.find([id]);
    if (!letter) throw noLetters([id]);
    const { payload, headers } = letter.event;
    return {
      ...messageOf(letter),
      ...readingOf(letter),
      payload: Buffer.from(payload),
      headers: { ...headers },
    };
  }

  async replay(given: readonly string[]): Promise<events.ReplayDeadLettersResponse> {
    const ids = [...new Set(given)];
    if (ids.length === 0 || ids.length > mostIds)
      throw InvalidArgument.at('ids', `expected 1 to ${mostIds} ids, got ${ids.length}`);
    const { bus, database, outbox } = this.context;
    const replayed = await bus.deadLetters.resend(ids, async (found) => {
      const there = new Set(found.map(({ id, headers }) => `${headers['group']}/${id}`));
      const missing = ids.filter((id) => !there.has(id));
      if (missing.length > 0) throw noLetters(missing);
      await database.transaction((sql) => emitAgain(sql, found));
    });
    outbox.wake();
    return { deadLetters: replayed.map(messageOf) };
  }
}

function noLetters(ids: readonly string[]): NotFound {
  return new NotFound(`there is no dead letter ${ids.join(', ')}; "emotune dlq list" shows all`);
}

function messageOf({ id, event, group, reason, at }: Letter): events.DeadLetter {
  const { topic, key, id: eventId } = event;
  return {
    ...{ id, topic, group, key, eventId, reason, time: timestamp(at) },
    ...{ messageType: '', messageJson: '', payload: Buffer.alloc(0), headers: {} },
  };
}

function readingOf({ event }: Letter): { messageType: string; messageJson: string } {
  const name = Object.values(topics).find(({ name }) => name === event.topic)?.message;
  if (name === undefined) return { messageType: '', messageJson: '' };
  const type = messageType(name);
  try {
    const message = type.toObject(type.decode(event.payload), {
      longs: Number,
      enums: String,
      bytes: String,
    });
    return { messageType: name, messageJson: JSON.stringify(message) };
  } catch {
    // It may be just what was wrong with it.
    return { messageType: name, messageJson: '' };
  }
}

@Controller()
@events.DeadLetterServiceControllerMethods()
class DeadLetterController implements events.DeadLetterServiceController {
  constructor(@Inject(DeadLetters) private readonly letters: DeadLetters) {}

  listDeadLetters(request: events.ListDeadLettersRequest): Promise<events.ListDeadLettersResponse> {
    return this.letters.list(request);
  }

  getDeadLetter({ id }: events.GetDeadLetterRequest): Promise<events.DeadLetter> {
    return this.letters.get(id);
  }

  replayDeadLetters({ ids }: events.ReplayDeadLettersRequest): Promise<events.ReplayDeadLettersResponse> {
    return this.letters.replay(ids);
  }
}

@Module({})
class DeadLettersModule {}

/** Serves the events that groups could not handle. One service of a deployment hosts it. */
export function deadLettersModule(context: DeadLettersContext): DynamicModule {
  return {
    module: DeadLettersModule,
    controllers: [DeadLetterController],
    providers: [{ provide: DeadLetters, useValue: new DeadLetters(context) }],
  };
}
