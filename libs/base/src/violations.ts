/** One way to say everything that is wrong with an input at once. */
import { InvalidArgument, type Violation } from './errors.js';
import { fieldPath } from './field-path.js';

/** More are counted only: nobody reads them, and an answer has to hold them. */
const mostTold = 100;

/** Gathers what several checks of one input find wrong. */
export class Violations {
  private readonly found: Violation[] = [];
  private untold = 0;

  constructor(found: readonly Violation[] = []) {
    this.addAll(found);
  }

  get list(): readonly Violation[] {
    return this.found;
  }

  /**
   * @param at The field: its path, or the path's parts.
   * @param description Or what gives it, where that takes time; asked only where it is told.
   */
  add(at: string | readonly PropertyKey[], description: string | (() => string)): void {
    if (this.found.length >= mostTold) this.untold++;
    else
      this.found.push({
        field: typeof at === 'string' ? at : fieldPath(at),
        description: typeof description === 'string' ? description : description(),
      });
  }

  /** Adds the violation unless it holds. Gives whether it does. */
  expect(holds: boolean, at: string | readonly PropertyKey[], description: string): boolean {
    if (!holds) this.add(at, description);
    return holds;
  }

  addAll(violations: readonly Violation[]): void {
    for (const { field, description } of violations) this.add(field, description);
  }

  /**
   * What the check gives; undefined where it throws InvalidArgument, whose violations are kept.
   * @param pathOf Their paths here.
   */
  collect<T>(check: () => T, pathOf: (path: string) => string = (path) => path): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof InvalidArgument)) throw error;
      for (const { field, description } of error.violations) this.add(pathOf(field), description);
      return undefined;
    }
  }

  /** All of them. */
  get error(): InvalidArgument {
    const more = { field: '', description: `and ${this.untold} more` };
    return new InvalidArgument(this.untold === 0 ? this.found : [...this.found, more]);
  }

  /** @throws InvalidArgument with every violation, where there is one. */
  throwIfAny(): void {
    if (this.found.length > 0) throw this.error;
  }
}
