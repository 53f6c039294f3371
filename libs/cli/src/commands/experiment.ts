import { systemClock } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { type Channel, type Client, type Draft, everyPage } from '@emotune/service';
import { InvalidArgumentError } from 'commander';
import {
  ExperimentWatch,
  experimentsText,
  experimentText,
  trialsText,
  winnerText,
} from '../format/experiment.js';
import { messageJson } from '../message-json.js';
import { newRequestId, type Session, withPlatform } from '../session.js';
import { type AddCommands, asks, fileOption, sessionOf } from './options.js';
import { readSpec, submit } from './specs.js';

const examples = `
Examples:
  emotune experiment submit -f experiment.yaml --watch
  emotune experiment enqueue first -p architecture=opt -p learningRate=0.001

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
  limits: {maxTrials: 8, parallelTrials: 2}`;

const experimentsOf = (channel: Channel): Client<tuning.ExperimentServiceClient> =>
  channel.client('ExperimentService');

const experimentJson = (experiment: tuning.Experiment) =>
  messageJson('emotune.tuning.v1.Experiment', experiment);
const trialJson = (trial: tuning.Trial) => messageJson('emotune.tuning.v1.Trial', trial);

function answer(session: Session, experiment: tuning.Experiment): Promise<void> {
  return session.answer(experimentJson(experiment), () => experimentText(experiment));
}

/** The experiment ended without a model. */
class ExperimentFailed extends Error {}

const { EXPERIMENT_STATE_SUCCEEDED } = tuning.ExperimentState;

/** Tells of an experiment until it ends. @throws ExperimentFailed */
async function watch(session: Session, channel: Channel, name: string): Promise<void> {
  const { signal } = session;
  const experiments = experimentsOf(channel);
  const view = new ExperimentWatch();
  let latest: tuning.Experiment | undefined;
  for await (const update of experiments.stream('watchExperiment', { name }, { signal })) {
    latest = update.experiment ?? latest;
    if (session.json) {
      await session.write(JSON.stringify(messageJson('emotune.tuning.v1.ExperimentUpdate', update)));
      continue;
    }
    for (const line of view.lines(update, systemClock.now())) await session.write(line);
  }
  if (latest?.state !== EXPERIMENT_STATE_SUCCEEDED)
    throw new ExperimentFailed(
      `experiment ${name} ended without a model: ${latest?.reason || 'no reason given'}`,
    );
  if (session.json) return;
  const { trials } = await experiments.call('listOptimalTrials', { experiment: name }, { signal });
  await session.write(winnerText(latest, trials[0]));
}

type Parameters = Record<string, Draft<tuning.ParameterValue>>;

function parameterValue(given: string): Draft<tuning.ParameterValue> {
  if (given === 'true' || given === 'false') return { flag: given === 'true' };
  const number = given.trim() === '' ? Number.NaN : Number(given);
  return Number.isFinite(number) ? { number } : { text: given };
}

/** Collects `name=value`: a number, true, false or a text. */
function parameter(text: string, others: Parameters = {}): Parameters {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Expected NAME=VALUE such as learningRate=0.001.');
  const [name, given] = [text.slice(0, equals), text.slice(equals + 1)];
  return {
    ...others,
    [name]: parameterValue(given),
  };
}

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
        if (options.watch) return watch(session, channel, accepted.name);
        if (embedded)
          session.note(
            `experiment ${accepted.name} runs while a platform does: "emotune experiment watch ${accepted.name}" or "emotune up"`,
          );
        return answer(session, accepted);
      };
      await withPlatform(session, submitted, options.watch);
    });

  experiment
    .command('list')
    .description('list all experiments')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => experimentsOf(channel).call('listExperiments', { pageToken }, { signal }),
          (reply) => reply.experiments,
        );
        await session.answer(all.map(experimentJson), () => experimentsText(all));
      }),
    );

  experiment
    .command('get')
    .description('show where an experiment stands')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await experimentsOf(channel).call('getExperiment', { name }, { signal })),
      ),
    );

  experiment
    .command('watch')
    .description('show the trials of an experiment until it ends')
    .argument('<name>')
    .action((name: string, _options, command) => {
      const session = sessionOf(io, command);
      return withPlatform(session, (channel) => watch(session, channel, name), true);
    });

  experiment
    .command('trials')
    .description('list the trials of an experiment; with --json also what they measured')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
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
        asks(io, async ({ session, channel, signal }, name: string) =>
          answer(session, await experimentsOf(channel).call(method, { name }, { signal })),
        ),
      );
  }

  experiment
    .command('enqueue')
    .description('add a trial with given parameters, run before any that the search suggests')
    .argument('<name>')
    .requiredOption('-p, --parameter <name=value>', 'one parameter; repeat for each', parameter)
    .addHelpText(
      'after',
      '\nExample:\n  emotune experiment enqueue first -p architecture=opt -p learningRate=0.001',
    )
    .action(
      asks(io, async ({ session, channel, signal }, name: string, options: { parameter: Parameters }) => {
        const trial = await experimentsOf(channel).call(
          'enqueueTrial',
          { experiment: name, parameters: options.parameter, requestId: newRequestId() },
          { signal },
        );
        await session.answer(trialJson(trial), () => trialsText([trial]));
      }),
    );
};
