import type { files } from '@emotune/proto';
import { type AddCommands, asks, integerFrom } from './options.js';

const text = ({ garbage, bytes }: files.CollectGarbageResponse, dryRun: boolean): string =>
  [
    ...garbage.map(({ name, bytes, reason }) => `${name}  ${bytes.toLocaleString('en-US')} bytes  ${reason}`),
    `${garbage.length} folders, ${bytes.toLocaleString('en-US')} bytes ${dryRun ? 'would be' : 'were'} removed`,
  ].join('\n');

export const addGcCommand: AddCommands = (program, io) => {
  program
    .command('gc')
    .description('remove files that nothing needs any more; a platform that runs does so every hour')
    .option('--dry-run', 'say what would be removed, and remove nothing', false)
    .option(
      '--older-than <seconds>',
      'leave what changed within so many seconds: it may be on its way',
      integerFrom(1),
      3600,
    )
    .action(
      asks(
        io,
        async (
          { session, channel, signal },
          { dryRun, olderThan }: { dryRun: boolean; olderThan: number },
        ) => {
          const collected = await channel
            .client<files.FileServiceClient>('FileService')
            .call('collectGarbage', { dryRun, minAgeSeconds: olderThan }, { signal });
          await session.answer({ dryRun, ...collected }, () => text(collected, dryRun));
        },
      ),
    );
};
