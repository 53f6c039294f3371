/** One way to say everything that is wrong with an input at once. */
import { InvalidArgument, type Violation } from './errors.js';
import { fieldPath } from './validate.js';

/** Gathers what several checks of one input find wrong. */
export class Violations {
  private readonly found: Violation[];

  constructor(found: readonly Violation[] = []) {
    this.found = [...found];
  }

  get list(): readonly Violation[] {
    return this.found;
  }

  /** @param at The field: its path, or the path's parts. */
  add(at: string | readonly PropertyKey[], description: string): void {
    this.found.push({ field: typeof at === 'string' ? at : fieldPath(at), description });
  }

  /** Adds the violation unless it holds. Gives whether it does. */
  expect(holds: boolean, at: string | readonly PropertyKey[], description: string): boolean {
    if (!holds) this.add(at, description);
    return holds;
  }

  addAll(violations: readonly Violation[]): void {
    for (const violation of violations) this.found.push(violation);
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

  /** @throws InvalidArgument with every violation, where there is one. */
  throwIfAny(): void {
    if (this.found.length > 0) throw new InvalidArgument(this.found);
  }
}
