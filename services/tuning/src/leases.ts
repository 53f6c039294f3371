/**
 * Leases by the clock of the process that watches them. What a lease says of its end was written by the clock of whichever
 * process heard the trainer, which may be another one or may have been set since; that it changes says that it was renewed.
 */
import { type Experiment, isOpen, jobName } from './state.js';

interface Seen {
  readonly until: number;
  /** By the watching process's clock. */
  readonly at: number;
}

export class Leases {
  /** By experiment, trial and attempt. */
  private seen = new Map<string, ReadonlyMap<string, Seen>>();

  /**
   * The experiment with the leases of attempts that run: each ends a lease after its last renewal was seen here, or its job was
   * last seen in a queue.
   * @param lateBy Milliseconds for which the oldest report has waited here: what it renews shows that much later.
   */
  watched(experiment: Experiment, now: number, lateBy = 0): Experiment {
    const { name, leaseMs, jobs } = experiment;
    const before = this.seen.get(name);
    const after = new Map<string, Seen>();
    const trials = experiment.trials.map((trial) => {
      const last = trial.attempts.at(-1);
      if (!isOpen(trial) || last?.outcome !== null) return trial;
      const key = `${trial.number}/${last.number}`;
      const known = before?.get(key);
      const queued = jobs.get(jobName(name, trial.number, last.number))?.phase === 'queued';
      const seen = known?.until === last.leaseUntil && !queued ? known : { until: last.leaseUntil, at: now };
      after.set(key, seen);
      return {
        ...trial,
        attempts: trial.attempts.with(-1, { ...last, leaseUntil: seen.at + leaseMs + lateBy }),
      };
    });
    if (after.size === 0) this.seen.delete(name);
    else this.seen.set(name, after);
    return { ...experiment, trials };
  }
}
