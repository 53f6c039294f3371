/** What people who look at the jobs of an experiment are shown. Pure. */
import { annotations, type JobEvent } from '@emotune/jobs';
import { type Experiment, isOpen, jobName, type Trial, type TrialState } from './state.js';

export interface JobNote {
  readonly job: string;
  readonly event: JobEvent;
}

const ends: Partial<Record<TrialState, Omit<JobEvent, 'message'>>> = {
  succeeded: { reason: 'TrialSucceeded' },
  stopped: { reason: 'TrialPruned' },
  failed: { reason: 'TrialFailed', warning: true },
  infeasible: { reason: 'TrialInfeasible', warning: true },
  cancelled: { reason: 'TrialCancelled' },
};

function begun(experiment: string, { number, attempts }: Trial): JobNote {
  const { number: attempt } = attempts.at(-1)!;
  const trial = `trial ${number} of experiment ${experiment}`;
  const job = jobName(experiment, number, attempt);
  const before = attempts.at(-2);
  const event: JobEvent = before
    ? { reason: 'TrialRetried', message: `attempt ${attempt} of ${trial}, after: ${before.reason}` }
    : { reason: 'TrialStarted', message: `${trial} has started` };
  return { job, event };
}

function ended(experiment: string, { number, attempts, state, reason, objective, step }: Trial): JobNote[] {
  const last = attempts.at(-1);
  const end = ends[state];
  if (!last || !end) return [];
  const measured = objective === null ? '' : `, objective ${objective}`;
  const message = `trial ${number} of experiment ${experiment}, step ${step}${measured}${reason && `: ${reason}`}`;
  return [{ job: jobName(experiment, number, last.number), event: { ...end, message } }];
}

/** What has happened to the trials of an experiment between two moments. */
export function notesOf(before: Experiment, after: Experiment): JobNote[] {
  return after.trials.flatMap((trial) => {
    const known = before.trials[trial.number];
    if (trial === known) return [];
    const more = trial.attempts.length > (known?.attempts.length ?? 0);
    const over = !isOpen(trial) && (!known || isOpen(known));
    return [...(more ? [begun(after.name, trial)] : []), ...(over ? ended(after.name, trial) : [])];
  });
}

/** The newest values of trials whose jobs have begun, by job. */
export function valuesOf({ name, trials, jobs }: Experiment): Map<string, Record<string, string>> {
  const values = new Map<string, Record<string, string>>();
  for (const { number, attempts, objective, step } of trials) {
    const last = attempts.at(-1);
    const job = last && jobName(name, number, last.number);
    if (!job || (jobs.get(job)?.phase ?? 'queued') === 'queued') continue;
    const measured = objective === null ? {} : { [annotations.objective]: String(objective) };
    values.set(job, { [annotations.step]: String(step), ...measured });
  }
  return values;
}
