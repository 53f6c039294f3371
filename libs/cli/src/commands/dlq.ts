import { InvalidArgument } from '@emotune/base';
import type { events, Timestamp } from '@emotune/proto';
import { type Channel, type Client, everyPage } from '@emotune/service/client';
import { clip, count, facts, table } from '../format/text.js';
import type { Session } from '../session.js';
import { type AddCommands, asks } from './options.js';

const examples = `
Examples:
  emotune dlq list --group evaluation
  emotune dlq show evaluation/0d5ef1d6-8a3c-4d6f-9d0e-2f1f4f9f0c11
  emotune dlq replay evaluation/0d5ef1d6-8a3c-4d6f-9d0e-2f1f4f9f0c11`;

const reasonColumns = 80;
const mostIds = 1000;

type Which = { topic: string; group: string };

const lettersOf = (channel: Channel): Client<events.DeadLetterServiceClient> =>
  channel.client('DeadLetterService');

const timeText = (time: Timestamp | undefined) =>
  time ? new Date(1000 * time.seconds + time.nanos / 1e6).toISOString() : '';

function allOf(channel: Channel, which: Which, signal: AbortSignal): Promise<events.DeadLetter[]> {
  return everyPage(
    (pageToken) =>
      lettersOf(channel).call('listDeadLetters', { ...which, pageToken, pageSize: mostIds }, { signal }),
    (reply) => reply.deadLetters,
  );
}

function summaryJson({ id, topic, group, key, eventId, reason, time }: events.DeadLetter) {
  return { id, topic, group, key, eventId, reason, time: timeText(time) };
}

function wholeJson(letter: events.DeadLetter) {
  const { messageType, messageJson: json, payload, headers } = letter;
  return {
    ...summaryJson(letter),
    ...{ messageType, message: json === '' ? null : JSON.parse(json) },
    ...{ payload: Buffer.from(payload).toString('base64'), headers },
  };
}

function wholeText(letter: events.DeadLetter): string {
  const { id, topic, group, key, reason, time, messageType, messageJson: json, payload } = letter;
  const head = facts([
    ['dead letter', id],
    ['topic', topic],
    ['group', group],
    ['key', key],
    ['time', timeText(time)],
    ['reason', reason],
    ['message', messageType],
  ]);
  const unread = `${payload.length} bytes that cannot be read as one: ${Buffer.from(payload).toString('hex')}`;
  return [head, json === '' ? unread : JSON.stringify(JSON.parse(json), null, 2)].join('\n\n');
}

async function answer(session: Session, letters: readonly events.DeadLetter[], text: string): Promise<void> {
  await session.answer(letters.map(summaryJson), () => text);
}

export const addDlqCommands: AddCommands = (program, io) => {
  const dlq = program
    .command('dlq')
    .description('dead letters: events that a service could not act on')
    .addHelpText('after', examples);

  dlq
    .command('list')
    .description('list them, the oldest first')
    .option('--topic <topic>', 'only events of this topic', '')
    .option('--group <service>', 'only those that this service could not act on', '')
    .action(
      asks(io, async ({ session, channel, signal }, which: Which) => {
        const all = await allOf(channel, which, signal);
        const rows = all.map(({ id, topic, key, reason, time }) => [
          ...[id, topic, key, timeText(time), clip(reason, reasonColumns)],
        ]);
        await answer(session, all, table(['id', 'topic', 'key', 'time', 'reason'], rows));
      }),
    );

  dlq
    .command('show')
    .description('show one, with what the event said')
    .argument('<id>', 'as "emotune dlq list" prints it')
    .action(
      asks(io, async ({ session, channel, signal }, id: string) => {
        const letter = await lettersOf(channel).call('getDeadLetter', { id }, { signal });
        await session.answer(wholeJson(letter), () => wholeText(letter));
      }),
    );

  dlq
    .command('replay')
    .description(
      'give events once more to the services that could not act on them, once what was wrong is mended',
    )
    .argument('[ids...]', 'as "emotune dlq list" prints them')
    .option('--all', 'all of them, or all that --topic and --group name', false)
    .option('--topic <topic>', 'with --all: only events of this topic', '')
    .option('--group <service>', 'with --all: only those of this service', '')
    .action(
      asks(
        io,
        async (
          { session, channel, signal },
          given: string[],
          { all, ...which }: Which & { all: boolean },
        ) => {
          if (all === given.length > 0)
            throw InvalidArgument.at('ids', `expected ids or --all, got ${all ? 'both' : 'neither'}`);
          if (!all && (which.topic !== '' || which.group !== ''))
            throw InvalidArgument.at('--all', 'expected it beside --topic and --group, got nothing');
          const ids = all ? (await allOf(channel, which, signal)).map(({ id }) => id) : given;
          const replayed: events.DeadLetter[] = [];
          for (let from = 0; from < ids.length; from += mostIds) {
            const request = { ids: ids.slice(from, from + mostIds) };
            const reply = await lettersOf(channel).call('replayDeadLetters', request, { signal });
            replayed.push(...reply.deadLetters);
          }
          await answer(
            session,
            replayed,
            `${count(replayed.length)} ${replayed.length === 1 ? 'event is' : 'events are'} on the way again`,
          );
        },
      ),
    );
};
