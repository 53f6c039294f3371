/** Words of the contract that every service translates. */
import { type Task, tasks } from '@emotune/affect';
import type { common, Timestamp } from '@emotune/proto';

/** Undefined for TASK_UNSPECIFIED. */
export function taskOf(message: common.Task): Task | undefined {
  return tasks.find((task) => taskMessage(task) === message);
}

export function taskMessage(task: Task): common.Task {
  return `TASK_${task.replace('-', '_').toUpperCase()}` as common.Task;
}

export function timestamp(date: Date | null | undefined): Timestamp | undefined {
  if (!date) return undefined;
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - 1000 * seconds) * 1_000_000 };
}

/** Names of datasets, feature sets and experiments: 1 to 40 lower-case letters, digits and dashes. */
export const namePattern = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
