import { InvalidArgument, systemClock } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { type Channel, type Client, type Draft, everyPage } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  ExperimentWatch,
  estimateLine,
  experimentEnded,
  experimentsText,
  experimentText,
  stageOf,
  trialsText,
  winnerText,
} from '../format/experiment.js';
import { newRequestId, type Session, withPlatform } from '../session.js';
import { addInsightCommands } from './insight.js';
import { addLogsCommand } from './logs.js';
import {
  type AddCommands,
  asks,
  type Call,
  fileOption,
  integerFrom,
  type ParameterOptions,
  parameterOf,
  sessionOf,
} from './options.js';
import { readSpec, submit } from './specs.js';

const examples = `
Examples:
  emotune experiment submit -f experiment.yaml --watch
  emotune experiment estimate -f experiment.yaml
  emotune experiment enqueue first -p architecture=opt -p learningRate=0.001
  emotune experiment raise first --max-trials 20 --max-gpu-hours 12

experiment.yaml:
  name: first
  features: reviews
  baseModels:
    - {architecture: opt, model: emotune-opt-4m}
    - {architecture: llama, model: emotune-llama-4m}
  objective: {metric: answer-nll, goal: minimize}
  parameters:
    - {name: learningRate, double: {min: 0.0005, max: 0.005, log: true}}
    - {name: replay, double: {min: 0.1, max: 0.5}}
  limits: {maxTrials: 8, parallelTrials: 2, maxGpuHours: 12}
  earlyStopping: {name: patience, settings: {patience: 5}}
  cost: {gpusPerTrial: 1, pricePerGpuHour: 2.5}
  warmStart:
    - {experiment: earlier, best: 2}`;

const experimentsOf = (channel: Channel): Client<tuning.ExperimentServiceClient> =>
  channel.client('ExperimentService');

const experimentJson = (experiment: tuning.Experiment) =>
  messageJson('emotune.tuning.v1.Experiment', experiment);
const trialJson = (trial: tuning.Trial) => messageJson('emotune.tuning.v1.Trial', trial);

/** Says that this command does not carry experiments on that have not ended, and what does. */
function tellWhoCarriesOn(
  { session, embedded }: Pick<Call, 'session' | 'embedded'>,
  open: readonly string[],
): void {
  if (!embedded || open.length === 0) return;
  const what = open.length === 1 ? `experiment ${open[0]} goes` : `experiments ${open.join(', ')} go`;
  session.note(
    `${what} on only while a platform serves this folder: "emotune up", or "emotune experiment watch ${open[0]}"`,
  );
}

const { TRIAL_STATE_PAUSED, TRIAL_STATE_QUEUED, TRIAL_STATE_RUNNING } = tuning.TrialState;
const openStates: readonly tuning.TrialState[] = [
  TRIAL_STATE_PAUSED,
  TRIAL_STATE_QUEUED,
  TRIAL_STATE_RUNNING,
];
const trialIsOpen = ({ state }: tuning.Trial) => openStates.includes(state);

const openOf = (experiments: readonly tuning.Experiment[]) =>
  experiments.filter(({ state }) => !experimentEnded(state)).map(({ name }) => name);

async function answer(
  call: Pick<Call, 'session' | 'embedded'>,
  experiment: tuning.Experiment,
): Promise<void> {
  await call.session.answer(experimentJson(experiment), () => experimentText(experiment));
  tellWhoCarriesOn(call, openOf([experiment]));
}

/** The experiment ended without a model. */
class ExperimentFailed extends Error {}

const { EXPERIMENT_STATE_SUCCEEDED } = tuning.ExperimentState;

/** Tells of an experiment until it ends. @throws ExperimentFailed */
async function watch(session: Session, channel: Channel, name: string, embedded: boolean): Promise<void> {
  const { signal } = session;
  const experiments = experimentsOf(channel);
  const view = new ExperimentWatch();
  let latest: tuning.Experiment | undefined;
  let final: tuning.Trial | undefined;
  if (embedded)
    session.note(
      `trials run in the background of this command until experiment ${name} has ended; Ctrl-C interrupts them, and "emotune experiment watch ${name}" or "emotune up" goes on from their checkpoints`,
    );
  for await (const update of experiments.stream('watchExperiment', { name }, { signal })) {
    latest = update.experiment ?? latest;
    final = update.trials.find(({ kind }) => kind === tuning.TrialKind.TRIAL_KIND_FINAL) ?? final;
    if (session.json) {
      await session.write(JSON.stringify(messageJson('emotune.tuning.v1.ExperimentUpdate', update)));
      continue;
    }
    const lines = view.lines(update, systemClock.now());
    if (lines.length > 0) session.progress.end();
    for (const line of lines) await session.write(line);
    if (session.progress.isBar && latest && !experimentEnded(latest.state)) {
      const { phase, done, total, unit, detail } = stageOf(latest, final);
      session.progress.update(phase, done, total, unit, detail);
    }
  }
  session.progress.end();
  if (latest?.state !== EXPERIMENT_STATE_SUCCEEDED)
    throw new ExperimentFailed(
      `experiment ${name} ended without a model: ${latest?.reason || 'no reason given'}${
        latest?.trialsFailed
          ? `; "emotune experiment logs ${name} TRIAL" shows what a trial's trainer wrote`
          : ''
      }`,
    );
  if (session.json) return;
  const { trials } = await experiments.call('listOptimalTrials', { experiment: name }, { signal });
  await session.write(winnerText(latest, trials[0]));
}

function aboveZero(text: string): number {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n) || n <= 0)
    throw new InvalidArgumentError('Expected a number above 0.');
  return n;
}

const limitOptions: readonly (readonly [
  flag: string,
  description: string,
  parse: (text: string) => number,
])[] = [
  ['--max-trials <n>', 'search trials, failed ones included', integerFrom(1)],
  ['--parallel-trials <n>', 'trials that run at the same time', integerFrom(1)],
  ['--max-failed-trials <n>', 'failed trials that the experiment survives', integerFrom(1)],
  ['--max-attempts <n>', 'attempts of a trial that is lost or crashes', integerFrom(1)],
  ['--max-interruptions <n>', 'interruptions of a trial that bring it no further', integerFrom(1)],
  ['--max-tokens <n>', 'tokens that the search may train on', integerFrom(1)],
  ['--max-duration-seconds <s>', 'seconds after which no trial starts', aboveZero],
  ['--max-gpu-hours <h>', 'GPU-hours of the search', aboveZero],
  ['--max-cost <amount>', 'money that the search may cost', aboveZero],
];

function withLimitOptions(command: Command): Command {
  for (const [flag, description, parse] of limitOptions)
    command.addOption(new Option(flag, description).argParser(parse));
  return command;
}

const estimateJson = (estimate: tuning.Estimate) => messageJson('emotune.tuning.v1.Estimate', estimate);

export const addExperimentCommands: AddCommands = (program, io) => {
  const experiment = program
    .command('experiment')
    .description('search for the best configuration and train it')
    .addHelpText('after', examples);

  experiment
    .command('submit')
    .description('accept an experiment, which starts once its features are ready')
    .addOption(fileOption('experiment'))
    .option('--watch', 'show its trials until it ends')
    .addHelpText('after', examples)
    .action(async (options: { file: string; watch?: boolean }, command) => {
      const session = sessionOf(io, command);
      const spec = await readSpec<Draft<tuning.ExperimentSpec>>(
        session,
        options.file,
        'emotune.tuning.v1.ExperimentSpec',
      );
      const submitted = async (channel: Channel, embedded: boolean) => {
        const accepted = await submit(() =>
          experimentsOf(channel).call(
            'createExperiment',
            { spec, requestId: newRequestId() },
            { signal: session.signal },
          ),
        );
        const { name } = accepted;
        const ahead = await experimentsOf(channel).call(
          'estimateExperiment',
          { name },
          { signal: session.signal },
        );
        session.note(estimateLine(ahead));
        if (options.watch) return watch(session, channel, name, embedded);
        return answer({ session, embedded }, accepted);
      };
      await withPlatform(session, submitted);
    });

  experiment
    .command('estimate')
    .description('what an experiment would take, from its YAML, or what one that exists will still take')
    .argument('[name]')
    .option('-f, --file <yaml>', 'the experiment as YAML')
    .action(
      asks(
        io,
        async ({ session, channel, signal }, name: string | undefined, { file }: { file?: string }) => {
          if ((name === undefined) === (file === undefined))
            throw new InvalidArgument([{ field: 'NAME', description: 'expected either a name or -f FILE' }]);
          const request =
            file === undefined
              ? { name: name ?? '' }
              : {
                  spec: await readSpec<Draft<tuning.ExperimentSpec>>(
                    session,
                    file,
                    'emotune.tuning.v1.ExperimentSpec',
                  ),
                };
          const estimate = await experimentsOf(channel).call('estimateExperiment', request, { signal });
          await session.answer(estimateJson(estimate), () => estimateLine(estimate));
        },
      ),
    );

  experiment
    .command('list')
    .description('list all experiments')
    .action(
      asks(io, async ({ session, channel, signal, embedded }) => {
        const all = await everyPage(
          (pageToken) => experimentsOf(channel).call('listExperiments', { pageToken }, { signal }),
          (reply) => reply.experiments,
        );
        await session.answer(all.map(experimentJson), () => experimentsText(all));
        tellWhoCarriesOn({ session, embedded }, openOf(all));
      }),
    );

  experiment
    .command('get')
    .description('show where an experiment stands')
    .argument('<name>')
    .action(
      asks(io, async (call, name: string) =>
        answer(
          call,
          await experimentsOf(call.channel).call('getExperiment', { name }, { signal: call.signal }),
        ),
      ),
    );

  experiment
    .command('watch')
    .description('show the trials of an experiment until it ends')
    .argument('<name>')
    .action((name: string, _options, command) => {
      const session = sessionOf(io, command);
      return withPlatform(session, (channel, embedded) => watch(session, channel, name, embedded));
    });

  experiment
    .command('trials')
    .description('list the trials of an experiment; with --json also what they measured')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal, embedded }, name: string) => {
        const withoutMeasurements = !session.json;
        const all = await everyPage(
          (pageToken) =>
            experimentsOf(channel).call(
              'listTrials',
              { experiment: name, pageToken, withoutMeasurements },
              { signal },
            ),
          (reply) => reply.trials,
        );
        await session.answer(all.map(trialJson), () => trialsText(all));
        tellWhoCarriesOn({ session, embedded }, all.some(trialIsOpen) ? [name] : []);
      }),
    );

  const changes = [
    ['pause', 'pauseExperiment', 'start no further trials; running ones go on'],
    ['resume', 'resumeExperiment', 'go on with a paused experiment'],
    ['cancel', 'cancelExperiment', 'stop the running trials and end the experiment, for good'],
  ] as const;
  for (const [verb, method, description] of changes) {
    experiment
      .command(verb)
      .description(description)
      .argument('<name>')
      .action(
        asks(io, async (call, name: string) =>
          answer(call, await experimentsOf(call.channel).call(method, { name }, { signal: call.signal })),
        ),
      );
  }

  experiment
    .command('delete')
    .description('delete an experiment that has ended, its trials, checkpoints and logs; its models stay')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        await experimentsOf(channel).call('deleteExperiment', { name }, { signal });
        await session.answer({ name, deleted: true }, () => `experiment ${name} is deleted`);
      }),
    );

  withLimitOptions(experiment.command('raise'))
    .description('give a search more room; limits that are not given stay as they are')
    .argument('<name>')
    .addHelpText('after', '\nExample:\n  emotune experiment raise first --max-trials 20 --max-gpu-hours 12')
    .action(
      asks(io, async (call, name: string, limits: Draft<tuning.Limits>) => {
        const { channel, signal } = call;
        await answer(call, await experimentsOf(channel).call('raiseLimits', { name, limits }, { signal }));
      }),
    );

  experiment
    .command('enqueue')
    .description('add a trial with some given parameters, run before any that the search suggests on its own')
    .argument('<name>')
    .requiredOption('-p, --parameter <name=value>', 'one parameter; repeat for each', parameterOf)
    .addHelpText(
      'after',
      '\nExample:\n  emotune experiment enqueue first -p architecture=opt -p learningRate=0.001',
    )
    .action(
      asks(
        io,
        async (
          { session, channel, signal, embedded },
          name: string,
          options: { parameter: ParameterOptions },
        ) => {
          const { trial, added } = await experimentsOf(channel).call(
            'enqueueTrial',
            { experiment: name, parameters: options.parameter, requestId: newRequestId() },
            { signal },
          );
          if (!added)
            session.note(
              `trial ${trial!.number} has these values, and would give the same again: none was added`,
            );
          await session.answer(trialJson(trial!), () => trialsText([trial!]));
          tellWhoCarriesOn({ session, embedded }, [name]);
        },
      ),
    );

  addInsightCommands(experiment, io);
  addLogsCommand(experiment, io);
};
