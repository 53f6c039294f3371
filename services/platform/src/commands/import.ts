import { FailedPrecondition } from '@emotune/base';
import type { Io } from '@emotune/cli';
import { asks, integerFrom, newRequestId, type ParameterOptions, parameterOf } from '@emotune/cli/command';
import { tuning } from '@emotune/proto';
import type { Direction, WarmStart } from '@emotune/search';
import type { Client } from '@emotune/service/client';
import type { valueMessages } from '@emotune/tuning';
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

const { TrialState } = tuning;
const states = {
  succeeded: TrialState.TRIAL_STATE_SUCCEEDED,
  stopped: TrialState.TRIAL_STATE_STOPPED,
  infeasible: TrialState.TRIAL_STATE_INFEASIBLE,
} as const;

/** What a sampler may learn: not what ended with an objective that cannot be compared. */
function taughtOf({ history }: WarmStart, messages: typeof valueMessages): tuning.ImportedTrial[] {
  return history.flatMap(({ state, parameters, objective, step, reason }): tuning.ImportedTrial[] => {
    const infeasible = state === 'infeasible' || !Number.isFinite(objective);
    return [
      {
        parameters: messages(parameters),
        state: infeasible ? TrialState.TRIAL_STATE_INFEASIBLE : states[state as keyof typeof states],
        objective: infeasible ? undefined : objective,
        step: step ?? 0,
        reason: reason ?? (infeasible ? `Diverged: the objective was ${objective}` : ''),
      },
    ];
  });
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
        const { planOf, valueMessages } = await import('@emotune/tuning');
        const { bestConfigurations, warmStart } = await import('@emotune/search');
        const { readStudy } = await import('../import/study-file.js');
        const experiments: Client<tuning.ExperimentServiceClient> = channel.client('ExperimentService');
        const study = await readStudy(session.path(options.file), options.study);
        const { spec } = await experiments.call('getExperiment', { name }, { signal });
        const { space } = planOf(spec);
        const fixed = Object.fromEntries(
          Object.entries(options.parameter ?? {}).map(([key, v]) => [key, v.number ?? v.text ?? v.flag!]),
        );
        const found = warmStart(space, study, {
          objective: options.objective,
          ...(options.direction ? { direction: options.direction } : {}),
          fixed,
          failuresTeach: options.failures ?? false,
        });
        if (found.history.length === 0)
          throw new FailedPrecondition(importText({ study, misfits: found.misfits }));
        const taught = options.teach ? taughtOf(found, valueMessages) : [];
        if (taught.length > 0)
          await experiments.call(
            'importTrials',
            { experiment: name, trials: taught, requestId: newRequestId() },
            { signal },
          );
        const enqueued: number[] = [];
        for (const values of bestConfigurations(found.history, options.best)) {
          const request = { experiment: name, parameters: valueMessages(values), requestId: newRequestId() };
          enqueued.push((await experiments.call('enqueueTrial', request, { signal })).number);
        }
        const { misfits } = found;
        const result = { study: study.name, trials: study.trials.length, fitting: found.history.length };
        await session.answer({ experiment: name, ...result, taught: taught.length, enqueued, misfits }, () =>
          importText({ study, fitting: found.history.length, taught: taught.length, enqueued, misfits }),
        );
      }),
    );
}
