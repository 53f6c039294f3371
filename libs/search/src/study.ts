/** A search that was run elsewhere, as it was recorded there. */

type StudyState = 'complete' | 'pruned' | 'failed' | 'running' | 'waiting';

export interface StudyTrial {
  readonly number: number;
  readonly state: StudyState;
  /** Whatever values the other program knows: numbers, texts, booleans, null. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** By objective, in its own direction; infinite or NaN where it was recorded so. Absent: not measured. */
  readonly objectives: readonly (number | undefined)[];
  /** Measurements of the first objective, by step. */
  readonly measurements: readonly { readonly step: number; readonly value: number }[];
}

export type Direction = 'minimize' | 'maximize';

export interface Study {
  readonly name: string;
  /** By objective; undefined where the source does not say. */
  readonly directions: readonly (Direction | undefined)[];
  /** By number. */
  readonly trials: readonly StudyTrial[];
}

/** Words of Optuna and of ourselves. */
const states: ReadonlyMap<string, StudyState> = new Map(
  Object.entries({
    COMPLETE: 'complete',
    SUCCEEDED: 'complete',
    PRUNED: 'pruned',
    STOPPED: 'pruned',
    FAIL: 'failed',
    FAILED: 'failed',
    INFEASIBLE: 'failed',
    RUNNING: 'running',
    WAITING: 'waiting',
    QUEUED: 'waiting',
  } as const),
);

export const stateOf = (word: string) => states.get(word.trim().toUpperCase());
export const stateWords = [...states.keys()].join(', ');
