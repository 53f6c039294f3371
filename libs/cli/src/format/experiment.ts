/** Experiments and trials as text, and what a watcher is told of their changes. */
import { type PlainValue, tuning } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { clip, count, durationText, facts, figure, nothing, table } from './text.js';

export function valueText(value: PlainValue): string {
  return typeof value === 'number' ? figure(value) : String(value);
}

export function parametersText(parameters: Readonly<Record<string, PlainValue>>): string {
  return Object.keys(parameters)
    .sort()
    .map((name) => `${name}=${valueText(parameters[name])}`)
    .join(' ');
}

function trialsDone({ trialsSucceeded, trialsFailed, trialsTotal }: tuning.Experiment): string {
  const failed = trialsFailed > 0 ? `, ${trialsFailed} failed` : '';
  return `${trialsSucceeded + trialsFailed} of ${trialsTotal}${failed}`;
}

export function experimentText(experiment: tuning.Experiment): string {
  const { name, state, reason, spec, bestObjective, bestTrial, modelVersion, trialsRunning } = experiment;
  return facts([
    ['experiment', name],
    ['state', shortEnumName(state)],
    ['reason', reason],
    ['features', spec?.features],
    ['base models', spec?.baseModels.map(({ architecture, model }) => `${architecture}=${model}`).join(' ')],
    ['trials', `${trialsDone(experiment)}, ${trialsRunning} running`],
    ['GPU-hours', experiment.gpuHours > 0 ? hours(experiment.gpuHours) : ''],
    ['cost', experiment.cost > 0 ? figure(Number(experiment.cost.toPrecision(3))) : ''],
    ['best', bestTrial === undefined ? '' : `trial ${bestTrial}, ${figure(bestObjective)} nats`],
    ['model', modelVersion],
  ]);
}

const hours = (n: number) => figure(Number(n.toPrecision(2)));

const { EstimateBasis } = tuning;
const bases: Readonly<Record<string, (estimate: tuning.Estimate) => string>> = {
  [EstimateBasis.ESTIMATE_BASIS_MEASURED]: ({ measuredTrials }) =>
    `from ${count(measuredTrials)} finished trials of the same base models`,
  [EstimateBasis.ESTIMATE_BASIS_SCALED]: () => "from other models' trials, by their parameters",
  [EstimateBasis.ESTIMATE_BASIS_ASSUMED]: () => 'a guess until a trial has finished here',
};

/** "12 trials of 5 folds, about 9 GPU-h (cost 27), 3.1 h by the clock, then 0.8 GPU-h for the winner; …" */
export function estimateLine(estimate: tuning.Estimate): string {
  const { trials, gpuHours, cost, seconds, finalGpuHours, basis, limitedBy, folds } = estimate;
  const money = cost > 0 ? ` (cost ${hours(cost)})` : '';
  const why =
    limitedBy === '' || trials === 0
      ? ''
      : `, up to ${limitedBy === 'parameters' ? 'the last combination of parameters' : limitedBy}`;
  const said = bases[basis]?.(estimate) ?? '';
  const each = folds > 1 ? ` of ${folds} folds` : '';
  return `${count(trials)} trials${each}${why}, about ${hours(gpuHours)} GPU-h${money}, ${hours(seconds / 3600)} h by the clock, then ${hours(finalGpuHours)} GPU-h for the winner; ${said}`;
}

export function experimentsText(experiments: readonly tuning.Experiment[]): string {
  return table(
    ['name', 'state', 'trials', 'best', 'model'],
    experiments.map((experiment) => [
      experiment.name,
      shortEnumName(experiment.state),
      trialsDone(experiment),
      figure(experiment.bestObjective),
      experiment.modelVersion || nothing,
    ]),
  );
}

const reasonColumns = 60;

/** With folds its standard error. */
function objectiveText({ objective, objectiveError }: tuning.Trial): string {
  return objectiveError === undefined
    ? figure(objective)
    : `${figure(objective)} ± ${figure(objectiveError)}`;
}

export function trialsText(trials: readonly tuning.Trial[]): string {
  const lineages = trials.some(({ origin }) => origin !== undefined);
  return table(
    [
      'trial',
      ...(lineages ? ['from'] : []),
      'kind',
      'state',
      'objective',
      'tokens',
      'tokens/s',
      'parameters',
      'reason',
    ],
    trials.map((trial) => [
      String(trial.number),
      ...(lineages ? [trial.origin === undefined ? nothing : String(trial.origin)] : []),
      shortEnumName(trial.kind),
      shortEnumName(trial.state),
      objectiveText(trial),
      count(trial.tokens),
      trial.tokensPerSecond > 0 ? count(trial.tokensPerSecond) : nothing,
      parametersText(trial.parameters),
      clip(trial.reason, reasonColumns) || nothing,
    ]),
  );
}

const { ExperimentState, TrialState } = tuning;

export function experimentEnded(state: tuning.ExperimentState): boolean {
  return (
    state === ExperimentState.EXPERIMENT_STATE_SUCCEEDED ||
    state === ExperimentState.EXPERIMENT_STATE_FAILED ||
    state === ExperimentState.EXPERIMENT_STATE_CANCELLED
  );
}

function trialName({ kind, number }: tuning.Trial): string {
  return kind === tuning.TrialKind.TRIAL_KIND_FINAL ? `final training (trial ${number})` : `trial ${number}`;
}

function speed({ tokensPerSecond }: tuning.Trial): string[] {
  return tokensPerSecond > 0 ? [`${count(tokensPerSecond)} tokens/s`] : [];
}

/** "loss 2.31": of the training, since the measurement before. */
function lossText({ measurements }: tuning.Trial): string {
  const loss = measurements.findLast(({ trainLoss }) => trainLoss !== undefined)?.trainLoss;
  return loss === undefined ? '' : `loss ${figure(loss)}`;
}

function left({ tokens, totalTokens, tokensPerSecond }: tuning.Trial): string[] {
  if (tokensPerSecond <= 0 || totalTokens <= tokens) return [];
  return [`about ${durationText((1000 * (totalTokens - tokens)) / tokensPerSecond)} left`];
}

function trialLine(trial: tuning.Trial, began: boolean): string {
  const objective = trial.objective === undefined ? [] : [`objective ${objectiveText(trial)}`];
  const tokens =
    trial.totalTokens > 0 ? [`${count(trial.tokens)} of ${count(trial.totalTokens)} tokens`] : [];
  if (trial.state === TrialState.TRIAL_STATE_RUNNING && !began)
    return `${trialName(trial)}: ${[...tokens, lossText(trial), ...objective, ...speed(trial), ...left(trial)].filter(Boolean).join(', ')}`;
  const attempt = trial.attempt > 1 ? ` (attempt ${trial.attempt})` : '';
  const details = began
    ? [
        ...(trial.origin === undefined ? [] : [`from trial ${trial.origin}`]),
        parametersText(trial.parameters),
      ]
    : [...(trial.reason === '' ? [] : [trial.reason]), ...objective, ...speed(trial)];
  return `${trialName(trial)} ${shortEnumName(trial.state)}${attempt}: ${details.join(', ')}`.replace(
    /: $/,
    '',
  );
}

/** What a bar shows of an experiment: the final training by its tokens, before it the search by its trials. */
interface Stage {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly detail: string;
}

export function stageOf(experiment: tuning.Experiment, final: tuning.Trial | undefined): Stage {
  if (final !== undefined && final.state === TrialState.TRIAL_STATE_RUNNING && final.totalTokens > 0)
    return {
      phase: 'final training',
      done: final.tokens,
      total: final.totalTokens,
      unit: 'tokens',
      detail: lossText(final),
    };
  const { spec, trialsSucceeded, trialsFailed, bestObjective, reason } = experiment;
  return {
    phase: reason || 'search',
    done: trialsSucceeded + trialsFailed,
    total: spec?.limits?.maxTrials ?? 0,
    unit: 'trials',
    detail: bestObjective === undefined ? '' : `best ${figure(bestObjective)} nats`,
  };
}

/** A running trial is told of at most this often. */
const measurementMs = 1000;

interface Seen {
  readonly state: string;
  readonly tokens: number;
  readonly ms: number;
}

/** Tells what changed since the update before, one line each. */
export class ExperimentWatch {
  private experiment = '';
  private readonly trials = new Map<number, Seen>();

  /** @param ms the time now */
  lines({ experiment, trials }: tuning.ExperimentUpdate, ms: number): string[] {
    const lines: string[] = [];
    if (experiment) {
      const reason = experiment.reason === '' ? '' : `: ${experiment.reason}`;
      const line = `experiment ${experiment.name} ${shortEnumName(experiment.state)}${reason}`;
      if (line !== this.experiment) lines.push(line);
      this.experiment = line;
    }
    for (const trial of trials) {
      const state = `${trial.state} ${trial.attempt}`;
      const seen = this.trials.get(trial.number);
      const changed = seen?.state !== state;
      if (!changed && (trial.tokens === seen.tokens || ms - seen.ms < measurementMs)) continue;
      if (trial.state !== TrialState.TRIAL_STATE_QUEUED)
        lines.push(trialLine(trial, changed && trial.state === TrialState.TRIAL_STATE_RUNNING));
      this.trials.set(trial.number, { state, tokens: trial.tokens, ms });
    }
    return lines;
  }
}

export function winnerText(experiment: tuning.Experiment, winner: tuning.Trial | undefined): string {
  const best = winner
    ? `trial ${winner.number} won with objective ${objectiveText(winner)}: ${parametersText(winner.parameters)}`
    : '';
  return [best, `model ${experiment.modelVersion}`].filter(Boolean).join('\n');
}
