/** Whether a trial's files fit onto the disk, by the plan of its training. Pure. */
import { InvalidArgument } from '@emotune/base';
import type { ModelConfig } from '@emotune/models';
import { planDisk } from '@emotune/training';
import { architectureOf } from './architecture.js';
import { settingsOf } from './memory.js';
import type { Plan } from './spec.js';
import type { Base, Trial } from './state.js';

const mebibyte = 2 ** 20;
/** Logs, events and rows need some, too. */
const spare = 16 * mebibyte;

/** Bytes that a trial writes to the object store at most; 0 where its settings would be refused. */
function spaceFor(plan: Plan, config: ModelConfig, trial: Pick<Trial, 'kind' | 'parameters'>): number {
  try {
    const settings = settingsOf(plan, trial.parameters);
    const { checkpoint, model } = planDisk(config, settings);
    // A new checkpoint is there before an old one goes; a model is in the trial's folder and in its version's.
    return spare + (settings.keepCheckpoints + 1) * checkpoint + (trial.kind === 'final' ? 2 * model : 0);
  } catch (error) {
    if (error instanceof InvalidArgument) return 0;
    throw error;
  }
}

/** What a start lacks, in words that say how much; empty: nothing. */
export function shortageOf(
  plan: Plan,
  bases: readonly (Pick<Base, 'architecture'> & { readonly config: ModelConfig })[],
  freeBytes: number,
  place: string,
): (trial: Pick<Trial, 'number' | 'kind' | 'parameters'>) => string {
  return (trial) => {
    const architecture = architectureOf(plan.spec, trial.parameters);
    const base = bases.find((one) => one.architecture === architecture);
    const needed = base ? spaceFor(plan, base.config, trial) : 0;
    if (needed <= freeBytes) return '';
    const mib = (bytes: number) => Math.ceil(bytes / mebibyte).toLocaleString('en-US');
    return `DiskFull: trial ${trial.number} waits for ${mib(needed - freeBytes)} MiB more of space: it may write ${mib(needed)} MiB to ${place}, where ${mib(freeBytes)} MiB are free; free some, or lower training.settings.keepCheckpoints`;
  };
}
