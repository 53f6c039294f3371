/** Whether anything of a search fits into memory, which takes longer to plan than calls can wait: in a thread of its own. */
import { besideModule, type Violation } from '@emotune/base';
import type { Plan } from './spec.js';
import type { Base, BoundFeatures } from './state.js';
import { AnsweringThread } from './thread.js';

interface Asked {
  readonly plan: Plan;
  readonly bases: readonly Base[];
  readonly rows: BoundFeatures['rows'];
}

export class Fitting {
  private readonly thread: AnsweringThread<Asked, Violation[]>;

  constructor(nodeArguments?: readonly string[]) {
    this.thread = new AnsweringThread(besideModule(import.meta.url, 'fitting-thread'), nodeArguments);
  }

  /** As `nothingFits` of memory.ts. @throws ResourceExhausted when too many wait. */
  async nothingFits(
    plan: Plan,
    bases: readonly Base[],
    rows: BoundFeatures['rows'],
  ): Promise<readonly Violation[]> {
    return plan.training.memoryLimitMib === 0 ? [] : this.thread.ask({ plan, bases, rows });
  }

  /** What was asked fails. */
  close(): Promise<void> {
    return this.thread.close();
  }
}
