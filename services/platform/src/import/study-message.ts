/** A study of another program as messages. */
import { type PlainValue, tuning } from '@emotune/proto';
import type { Direction, Study, StudyTrial } from '@emotune/search';
import type { Draft } from '@emotune/service/client';

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

/** Characters of the trials of a message as JSON, about: far fewer bytes and fields than one may hold. */
const pieceCharacters = 100_000;

/** The messages of an import, of which the first says `asked`. */
export async function* studyPieces(
  { name, directions, trials }: Study,
  asked: Omit<Draft<tuning.ImportStudyRequest>, 'study'>,
): AsyncGenerator<Draft<tuning.ImportStudyRequest>> {
  const goals = directions.map(goalOf);
  let piece: tuning.StudyTrial[] = [];
  let characters = 0;
  let begun = false;
  const message = (): Draft<tuning.ImportStudyRequest> =>
    begun ? { study: { trials: piece } } : { ...asked, study: { name, goals, trials: piece } };
  for (const trial of trials.map(trialMessage)) {
    const more = JSON.stringify(trial).length;
    if (piece.length > 0 && characters + more > pieceCharacters) {
      yield message();
      [piece, characters, begun] = [[], 0, true];
    }
    piece.push(trial);
    characters += more;
  }
  yield message();
}
