import { FailedPrecondition } from '@emotune/base';
import type { Io } from '@emotune/cli';
import { asks, integerFrom, newRequestId, type ParameterOptions, parameterOf } from '@emotune/cli/command';
import type { tuning } from '@emotune/proto';
import type { Direction } from '@emotune/search';
import type { Client } from '@emotune/service/client';
import { type Command, Option } from 'commander';
import { importText } from '../import/text.js';

interface ImportOptions {
  readonly file: string;
  readonly study?: string;
  readonly objective: number;
  readonly direction?: Direction;
  readonly parameter?: ParameterOptions;
  readonly best: number;
  readonly teach?: boolean;
  readonly failures?: boolean;
}

/** Takes over what another program has found. */
export function addImportCommand(experiment: Command, io: Io): void {
  experiment
    .command('import')
    .description('try the best configurations of an Optuna study or a CSV file, and learn from its trials')
    .argument('<name>')
    .requiredOption('-f, --file <path>', 'SQLite database of Optuna, or CSV with a header')
    .option('--study <name>', 'where the database holds several')
    .option('--objective <n>', 'which of several, from 0', integerFrom(0), 0)
    .addOption(
      new Option('--direction <direction>', 'what is better, where the file does not say').choices([
        'minimize',
        'maximize',
      ]),
    )
    .option(
      '-p, --parameter <name=value>',
      'value of a parameter that the file does not have; repeat for each',
      parameterOf,
    )
    .option('--best <n>', 'configurations to enqueue', integerFrom(0), 3)
    .option('--teach', "teach the sampler all trials: their objective means the same as the experiment's")
    .option('--failures', 'with --teach, also that failed trials cannot work')
    .addHelpText(
      'after',
      `
Parameters that the search space does not have are dropped; trials that do not fit it are left out; both are told.
CSV has one row per trial: the columns value (or objective, values_0, …), state and number where there are any, and the
parameters, named params_NAME as in Optuna's data frames, or NAME.

Examples:
  emotune experiment import first -f study.db --study emotions --best 5
  emotune experiment import first -f trials.csv --direction minimize -p replay=0.2 --teach`,
    )
    .action(
      asks(io, async ({ session, channel, signal }, name: string, options: ImportOptions) => {
        const { readStudy } = await import('../import/study-file.js');
        const { goalOf, studyPieces } = await import('../import/study-message.js');
        const experiments: Client<tuning.ExperimentServiceClient> = channel.client('ExperimentService');
        const study = await readStudy(session.path(options.file), options.study);
        const { fitting, taught, enqueued, known, misfits } = await experiments.send(
          'importStudy',
          studyPieces(study, {
            experiment: name,
            objective: options.objective,
            goal: goalOf(options.direction),
            fixed: options.parameter ?? {},
            best: options.best,
            teach: options.teach ?? false,
            failuresTeach: options.failures ?? false,
            requestId: newRequestId(),
          }),
          { signal },
        );
        if (fitting === 0) throw new FailedPrecondition(importText({ study, misfits }));
        const result = { study: study.name, trials: study.trials.length, fitting };
        await session.answer({ experiment: name, ...result, taught, enqueued, known, misfits }, () =>
          importText({ study, fitting, taught, enqueued, known, misfits }),
        );
      }),
    );
}
