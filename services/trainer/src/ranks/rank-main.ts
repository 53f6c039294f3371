/** The process of a rank besides the first, which starts it and tells it what to do. It ends with who started it. */
import { endingExitCodes } from '@emotune/base';
import { endingOf, LostRank } from '@emotune/training';
import { assistTuning } from '../tune.js';
import { RankLink } from './link.js';
import type { FromRank, ToRank } from './messages.js';

// Who started it decides when it ends; Ctrl-C at a terminal reaches all of its processes.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(endingExitCodes.Interrupted));

const tell = (message: FromRank) =>
  new Promise<void>((resolve) => {
    process.send!(message, () => resolve());
  });
const told = <T extends ToRank['type']>(type: T) =>
  new Promise<Extract<ToRank, { type: T }>>((resolve) => {
    process.on('message', (message: ToRank) => {
      if (message.type === type) resolve(message as Extract<ToRank, { type: T }>);
    });
  });

const next = told('next');
const { request, rank, token } = await told('begin');
let exitCode = 0;
try {
  const { link, address } = await RankLink.listen(token, rank);
  await tell({ type: 'listening', address });
  await link.connect((await next).address);
  await assistTuning(request, { rank, link });
  link.close();
} catch (error) {
  const ending = endingOf(error);
  await tell({
    type: 'failed',
    ending,
    message: (error as Error).message,
    follows: error instanceof LostRank,
  });
  exitCode = endingExitCodes[ending];
}
process.exit(exitCode);
