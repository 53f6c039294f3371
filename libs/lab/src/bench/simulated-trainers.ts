/** Trainers that report and end as real ones do, and compute nothing. */
import { endingExitCodes } from '@emotune/base';
import { type JobSpec, readEnvironment } from '@emotune/jobs';
import { tuning } from '@emotune/proto';
import { Channel } from '@emotune/service/client';

export interface Pace {
  /** The mean duration of a trial; each takes from half of it to one and a half. */
  readonly trialSeconds: number;
  /** While it says so, no trial ends by itself. */
  readonly held?: () => boolean;
}

/** Measurements of the objective that a trial reports. */
const validations = 4;

/** All trainers of one machine, over one connection. */
export class SimulatedTrainers {
  private readonly running = new Map<string, AbortController>();
  private readonly channel: Channel;
  private readonly client;

  constructor(
    address: string,
    private readonly pace: Pace,
    private readonly ended: (job: string, exitCode: number, reportedAt: number) => void,
  ) {
    this.channel = Channel.connect(address);
    this.client = this.channel.client<tuning.TrialServiceClient>('TrialService');
  }

  start(job: Pick<JobSpec, 'name' | 'environment' | 'token'>): void {
    const stop = new AbortController();
    this.running.set(job.name, stop);
    void this.run(job, stop.signal).then(
      () => this.end(job.name, 0),
      () => this.end(job.name, stop.signal.aborted ? endingExitCodes.Interrupted : endingExitCodes.Crashed),
    );
  }

  stop(name: string): void {
    this.running.get(name)?.abort();
  }

  close(): void {
    for (const stop of this.running.values()) stop.abort();
    this.channel.close();
  }

  private end(name: string, exitCode: number): void {
    this.running.delete(name);
    this.ended(name, exitCode, Date.now());
  }

  private async run(
    { environment, token }: Pick<JobSpec, 'environment' | 'token'>,
    signal: AbortSignal,
  ): Promise<void> {
    const { trial } = readEnvironment(environment);
    const call = { token, signal };
    const { parameters, totalTokens } = await this.client.call('getAssignment', { trial }, call);
    const rate = Number(parameters['learningRate'] ?? 1e-3);
    const objective = 1 + (Math.log10(rate) + 3) ** 2;
    // Golden section: even over any run of numbers.
    const seconds = this.pace.trialSeconds * (0.5 + ((trial.number * 0.618034) % 1));
    const began = performance.now();
    const at = (share: number) => ({
      tokens: Math.round(totalTokens * share),
      examples: Math.round(1000 * share),
      elapsedSeconds: seconds * share,
      trainLoss: objective,
      tokensPerSecond: totalTokens / seconds,
    });
    let measured = 0;
    for (let step = 1; ; step++) {
      const share = Math.min(this.pace.held?.() ? 0.99 : 1, (performance.now() - began) / 1000 / seconds);
      const due = Math.floor(share * validations) > measured;
      if (due) measured = Math.floor(share * validations);
      const measurement = { step, ...at(share), ...(due ? { objective: objective + 1 / measured } : {}) };
      const { directive, everySeconds } = await this.client.call(
        'heartbeat',
        { trial, measurements: [measurement] },
        call,
      );
      const stopped = directive === tuning.Directive.DIRECTIVE_STOP;
      if (stopped || share === 1) {
        const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = tuning.TrialState;
        const state = stopped ? TRIAL_STATE_STOPPED : TRIAL_STATE_SUCCEEDED;
        const report = { trial, state, step, objective, ...at(share), bestTokens: totalTokens };
        await this.client.call('finishTrial', report, call);
        return;
      }
      const left = seconds - (performance.now() - began) / 1000;
      // One that is held is overdue.
      const pause = left > 0 ? Math.min(everySeconds || 1, left) : everySeconds || 1;
      await sleep(pause, signal);
    }
  }
}

function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, 1000 * seconds);
    signal.addEventListener('abort', abort, { once: true });
  });
}
