/** A study of another program as a message. */
import { type PlainValue, tuning } from '@emotune/proto';
import type { Direction, Study, StudyTrial } from '@emotune/search';

const { Goal, TrialState } = tuning;

const states: Readonly<Record<StudyTrial['state'], tuning.TrialState>> = {
  complete: TrialState.TRIAL_STATE_SUCCEEDED,
  pruned: TrialState.TRIAL_STATE_STOPPED,
  failed: TrialState.TRIAL_STATE_FAILED,
  running: TrialState.TRIAL_STATE_RUNNING,
  waiting: TrialState.TRIAL_STATE_QUEUED,
};

export function goalOf(direction: Direction | undefined): tuning.Goal {
  if (direction === undefined) return Goal.GOAL_UNSPECIFIED;
  return direction === 'minimize' ? Goal.GOAL_MINIMIZE : Goal.GOAL_MAXIMIZE;
}

function plainOf(recorded: unknown): PlainValue {
  if (typeof recorded === 'number' || typeof recorded === 'boolean') return recorded;
  return recorded === null || recorded === undefined ? null : String(recorded);
}

function trialMessage({
  number,
  state,
  parameters,
  objectives,
  measurements,
}: StudyTrial): tuning.StudyTrial {
  return {
    number,
    state: states[state],
    parameters: Object.fromEntries(
      Object.entries(parameters).map(([name, recorded]) => [name, plainOf(recorded)]),
    ),
    objectives: objectives.map((value) => ({ value })),
    last: measurements.at(-1),
  };
}

export function studyMessage({ name, directions, trials }: Study): tuning.Study {
  return { name, goals: directions.map(goalOf), trials: trials.map(trialMessage) };
}
