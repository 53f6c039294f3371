/**
 * An experiment as an object of Kubernetes: what the object says of the service's experiment, what the service is to do about the
 * object, and what stands in its status. Pure.
 */
import { canonicalJson } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { messageJson } from '@emotune/service/spec';

export const group = 'emotune.io';
export const version = 'v1alpha1';
const specType = 'emotune.tuning.v1.ExperimentSpec';

interface Condition {
  readonly type: 'Accepted' | 'Running' | 'Succeeded';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration: number;
  /** Since when it is of this status. */
  readonly lastTransitionTime: string;
  /** One word, in camel case. */
  readonly reason: string;
  readonly message: string;
}

export interface ObjectStatus {
  readonly observedGeneration?: number;
  /** As the contract has it, in camel case; Refused: the service did not take it. */
  readonly state?: string;
  readonly reason?: string | null;
  /** Ended search trials, of how many there can be: 7/20. */
  readonly trials?: string | null;
  readonly trialsRunning?: number | null;
  readonly trialsSucceeded?: number | null;
  readonly trialsFailed?: number | null;
  readonly bestTrial?: number | null;
  readonly bestObjective?: string | null;
  readonly model?: string | null;
  readonly gpuHours?: string | null;
  readonly startTime?: string | null;
  readonly endTime?: string | null;
  readonly conditions?: readonly Condition[];
}

export interface ExperimentObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: ObjectStatus;
}

const { ExperimentState: State } = tuning;
const open: ReadonlySet<string> = new Set([
  State.EXPERIMENT_STATE_WAITING,
  State.EXPERIMENT_STATE_RUNNING,
  State.EXPERIMENT_STATE_PAUSED,
  State.EXPERIMENT_STATE_FINALIZING,
]);

function isOpen({ state }: Pick<tuning.Experiment, 'state'>): boolean {
  return open.has(state);
}

/** EXPERIMENT_STATE_RUNNING → Running */
function stateWord(state: tuning.ExperimentState): string {
  const word = state.slice('EXPERIMENT_STATE_'.length).toLowerCase();
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** The object of an experiment that has none. */
export function objectOf({ name, spec }: Pick<tuning.Experiment, 'name' | 'spec'>): ExperimentObject {
  const { name: _, ...written } = messageJson(specType, spec!) as Record<string, unknown>;
  return {
    apiVersion: `${group}/${version}`,
    kind: 'Experiment',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/managed-by': 'emotune' },
    },
    spec: written,
  };
}

function conditionOf(
  object: Pick<ExperimentObject, 'status'>,
  type: Condition['type'],
): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

/** Whether the service has taken the experiment that the object describes. */
export function isAccepted(object: Pick<ExperimentObject, 'status'>): boolean {
  return conditionOf(object, 'Accepted')?.status === 'True';
}

/** Whether nothing changes any more by itself. */
export function isSettled(object: ExperimentObject): boolean {
  const { deletionTimestamp, generation } = object.metadata;
  const { endTime, observedGeneration } = object.status ?? {};
  return (
    isAccepted(object) && !!endTime && observedGeneration === generation && deletionTimestamp === undefined
  );
}

/** What is to be done about an experiment next. */
export type ObjectAction =
  | 'nothing'
  /** The experiment has no object. */
  | 'mirror'
  /** The service is to take it. */
  | 'submit'
  /** Its limits may have been raised. */
  | 'raise'
  /** Its status may have changed. */
  | 'tell'
  /** The object is deleted, its experiment goes on. */
  | 'cancel'
  /** The service has it no more. */
  | 'remove';

/**
 * @param experiment what the service has under that name
 * @param object what the cluster has
 * @param deleted an object of the experiment that was seen to go
 */
export function objectAction(
  experiment: Pick<tuning.Experiment, 'state'> | undefined,
  object: ExperimentObject | undefined,
  deleted?: ExperimentObject,
): ObjectAction {
  const goesOn = experiment !== undefined && isOpen(experiment);
  if (deleted && isAccepted(deleted) && goesOn) return 'cancel';
  // One that has ended and whose object was deleted does not come back.
  if (!object) return goesOn ? 'mirror' : 'nothing';
  const { deletionTimestamp, generation } = object.metadata;
  // Others hold it with finalizers of theirs.
  if (deletionTimestamp !== undefined) return goesOn && isAccepted(object) ? 'cancel' : 'nothing';
  if (isAccepted(object)) {
    if (!experiment) return 'remove';
    return object.status?.observedGeneration === generation ? 'tell' : 'raise';
  }
  // Refused as it is; but what it needs may be there by now.
  return 'submit';
}

/** Four significant digits, as long as they are readable. */
function figure(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function secondsOf(time: tuning.Experiment['startTime']): string | null {
  return time ? new Date(Math.floor(time.seconds) * 1000).toISOString().replace('.000Z', 'Z') : null;
}

/** What a condition says, before it is known since when. */
interface Said {
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message?: string;
}

/** A condition keeps its time while its status stays. */
function conditions(
  object: ExperimentObject,
  said: Readonly<Record<Condition['type'], Said>>,
  now: string,
): Condition[] {
  return (Object.entries(said) as [Condition['type'], Said][]).map(
    ([type, { status, reason, message = '' }]) => {
      const before = conditionOf(object, type);
      const lastTransitionTime = before?.status === status ? before.lastTransitionTime : now;
      return {
        ...{ type, status, reason, message: message.slice(0, 32_768), lastTransitionTime },
        observedGeneration: object.metadata.generation ?? 0,
      };
    },
  );
}

function runningOf({ state, reason }: tuning.Experiment): Said {
  if (state === State.EXPERIMENT_STATE_RUNNING || state === State.EXPERIMENT_STATE_FINALIZING)
    return { status: 'True', reason: stateWord(state), message: reason };
  return { status: 'False', reason: isOpen({ state }) ? stateWord(state) : 'Ended', message: reason };
}

function succeededOf({ state, reason }: tuning.Experiment): Said {
  if (isOpen({ state })) return { status: 'Unknown', reason: 'NotEnded', message: '' };
  const status = state === State.EXPERIMENT_STATE_SUCCEEDED ? 'True' : 'False';
  return { status, reason: stateWord(state), message: reason };
}

/**
 * The status of an object whose experiment the service has.
 * @param note What the service said to a change of the object; absent: what stands there stays.
 * @param now ISO 8601
 */
export function statusOf(
  object: ExperimentObject,
  experiment: tuning.Experiment,
  now: string,
  note?: { readonly reason: string; readonly message: string },
): ObjectStatus {
  const { state, reason, spec, trialsSucceeded, trialsFailed, bestObjective } = experiment;
  const before = conditionOf(object, 'Accepted');
  const noted = note ?? (before?.status === 'True' ? before : { reason: 'Accepted', message: '' });
  return {
    observedGeneration: object.metadata.generation ?? 0,
    state: stateWord(state),
    reason,
    trials: `${trialsSucceeded + trialsFailed}/${spec?.limits?.maxTrials ?? 0}`,
    trialsRunning: experiment.trialsRunning,
    ...{ trialsSucceeded, trialsFailed },
    bestTrial: experiment.bestTrial ?? null,
    bestObjective: bestObjective === undefined ? null : figure(bestObjective),
    model: experiment.modelVersion || null,
    gpuHours: experiment.gpuHours.toFixed(2),
    startTime: secondsOf(experiment.startTime),
    endTime: secondsOf(experiment.endTime),
    conditions: conditions(
      object,
      {
        Accepted: { status: 'True', reason: noted.reason, message: noted.message },
        Running: runningOf(experiment),
        Succeeded: succeededOf(experiment),
      },
      now,
    ),
  };
}

/** The status of an object that the service refuses. @param message what is wrong, with the fields' paths */
export function refusedStatus(
  object: ExperimentObject,
  { reason, message }: { readonly reason: string; readonly message: string },
  now: string,
): ObjectStatus {
  const never: Said = { status: 'False', reason: 'Refused' };
  return {
    observedGeneration: object.metadata.generation ?? 0,
    state: 'Refused',
    reason: message,
    conditions: conditions(
      object,
      { Accepted: { status: 'False', reason, message }, Running: never, Succeeded: never },
      now,
    ),
  };
}

/** Without what is not there. */
function bare(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, item) => (item === null ? undefined : item)));
}

/** Whether a status says what the object's does. */
export function saysTheSame({ status = {} }: ExperimentObject, next: ObjectStatus): boolean {
  return canonicalJson(bare(status)) === canonicalJson(bare(next));
}
