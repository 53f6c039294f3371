import { once } from 'node:events';
import { FailedPrecondition } from '@emotune/base';
import { type AddCommands, integerFrom, sessionOf } from '@emotune/cli/command';
import { jsonLog } from '@emotune/service/client';
import { openPlatform } from '../open-platform.js';

export const addUpCommand: AddCommands = (program, io) => {
  program
    .command('up')
    .description('serve the platform of the data folder until Ctrl-C')
    .option('--port <n>', 'on 127.0.0.1', integerFrom(0), 50051)
    .addHelpText('after', '\nExample:\n  emotune up --data-dir /srv/emotune')
    .action(async ({ port }: { port: number }, command) => {
      const session = sessionOf(io, command);
      const log = jsonLog((line) => io.stderr.write(line));
      const { dataDir, signal, work } = session;
      const platform = await openPlatform({ dataDir, env: io.env, signal, port, log, work });
      if (typeof platform === 'string')
        throw new FailedPrecondition(`${session.dataDir} is served already, on ${platform}`);
      try {
        const { address } = platform;
        await session.answer(
          { address, dataDir: session.dataDir },
          () => `serving ${session.dataDir} on ${address}`,
        );
        if (!session.signal.aborted) await once(session.signal, 'abort');
      } finally {
        await platform.close();
      }
    });
};
