import { once } from 'node:events';
import { FailedPrecondition, Internal } from '@emotune/base';
import { type AddCommands, integerFrom, sessionOf } from '@emotune/cli/command';
import { Option } from 'commander';
import { logInto, openPlatform } from '../open-platform.js';
import type { Budget } from '../start/plan.js';
import { start } from '../start/start.js';
import { summaryJson, summaryText } from '../start/summary.js';

interface StartFlags {
  readonly corpora: string;
  readonly budget: Budget;
  readonly seed: number;
  readonly keep?: boolean;
}

export const addStartCommand: AddCommands = (program, io) => {
  program
    .command('start')
    .description('the main job: data, search, training, evaluation and a model; repeat it to go on')
    .option(
      '--corpora <dir>',
      'corpora as published; "auto" looks for them, "demo" takes bundled texts',
      'auto',
    )
    .addOption(
      new Option('--budget <size>', 'how much is trained').choices(['small', 'full']).default('small'),
    )
    .option('--seed <n>', 'of search and training', integerFrom(0), 1)
    .option('--keep', 'go on serving when it is done')
    .action(async ({ corpora, budget, seed, keep }: StartFlags, command) => {
      const session = sessionOf(io, command);
      const given = corpora !== 'auto' && corpora !== 'demo';
      session.note(`starting the platform over ${session.dataDir}`);
      const { log, logFile } = logInto(session.dataDir);
      const platform = await openPlatform({
        dataDir: session.dataDir,
        env: io.env,
        signal: session.signal,
        ...(given ? { corporaDir: session.path(corpora), download: false } : {}),
        log,
        work: session.work,
      });
      if (typeof platform === 'string')
        throw new FailedPrecondition(
          `${session.dataDir} is served already, on ${platform}: stop that first, or choose another --data-dir`,
        );
      try {
        session.signal.throwIfAborted();
        const result = await start(platform.channel, {
          corpora: given ? 'given' : corpora,
          budget,
          seed,
          dataDir: session.dataDir,
          progress: session.progress,
          signal: session.signal,
        });
        await session.answer(summaryJson(result), () => summaryText(result));
        if (keep) {
          session.note(`serving on ${platform.address}; Ctrl-C ends it`);
          if (!session.signal.aborted) await once(session.signal, 'abort');
        }
      } catch (error) {
        if (session.signal.aborted) session.note('stopping; run it again to go on from here');
        if (!(error instanceof Internal)) throw error;
        throw new Internal(`${error.message} (${logFile})`, { cause: error });
      } finally {
        session.progress.end();
        await platform.close();
      }
    });
};
