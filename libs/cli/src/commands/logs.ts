import type { tuning } from '@emotune/proto';
import type { Client } from '@emotune/service/client';
import type { Command } from 'commander';
import { type LogLine, LogLines, logLineText } from '../format/trial-log.js';
import type { Io } from '../io.js';
import { asks, integerFrom } from './options.js';

interface LogsOptions {
  readonly attempt?: number;
  readonly follow?: boolean;
}

/** What trainers have written. */
export function addLogsCommand(experiment: Command, io: Io): void {
  experiment
    .command('logs')
    .description('show what the trainer of a trial has written, also of one that died at once')
    .argument('<name>')
    .argument('<trial>', 'its number', integerFrom(0))
    .option('--attempt <n>', 'one of its attempts, from 1 (default: the last)', integerFrom(1))
    .option('--follow', 'go on until the trial has ended, over further attempts of it')
    .addHelpText(
      'after',
      `
With --json every line is a document: attempt, offset (in bytes) and line, or leftOut where a long log was cut.

Examples:
  emotune experiment logs first 3 --follow
  emotune experiment logs first 3 --attempt 1`,
    )
    .action(
      asks(
        io,
        async (
          { session, channel, signal, embedded },
          name: string,
          number: number,
          { attempt = 0, follow = false }: LogsOptions,
        ) => {
          const experiments: Client<tuning.ExperimentServiceClient> = channel.client('ExperimentService');
          const lines = new LogLines();
          let shown = 0;
          const show = async (line: LogLine) => {
            if (!session.json && shown > 0 && line.attempt !== shown) session.note(`attempt ${line.attempt}`);
            shown = line.attempt;
            await session.write(session.json ? JSON.stringify(line) : logLineText(line));
          };
          // A platform of this command's own runs no trial.
          const request = { experiment: name, number, attempt, follow: follow && !embedded };
          for await (const piece of experiments.stream('readTrialLog', request, { signal }))
            for (const line of lines.take(piece)) await show(line);
          for (const line of lines.end()) await show(line);
          if (follow && embedded)
            session.note(
              `no trial runs now, so there is nothing to follow: "emotune up" or "emotune experiment watch ${name}" goes on with it`,
            );
          if (shown === 0) session.note(`the trainer of trial ${number} of ${name} has written nothing`);
        },
      ),
    );
}
