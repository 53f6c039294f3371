/**
 * Regular expressions that come with files or requests, in Oniguruma's syntax. A match takes a bounded number of steps, the same
 * on every machine: one that backtracks without an end is refused by name, where a regular expression of JavaScript would hold the
 * thread and one of a native library the whole process.
 */
import { InvalidArgument, show } from '@emotune/base';
import { Machine, OutOfSteps, op, type Program, Steps } from './pattern-machine.js';
import { compile } from './pattern-program.js';

export { Steps };

export class Pattern {
  private constructor(
    private readonly source: string,
    private readonly field: string,
    private readonly program: Program,
  ) {}

  /**
   * @param field names it in errors
   * @param within Writes what has to stand around it.
   * @throws InvalidArgument when it is no regular expression, or one whose matches are not computed here.
   */
  static parse(
    source: string,
    field: string,
    within: (source: string) => string = (alone) => alone,
  ): Pattern {
    try {
      return new Pattern(source, field, compile(within(source)));
    } catch (cause) {
      throw InvalidArgument.at(
        field,
        `expected a regular expression, got ${show(source)}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  private bounded<T>(text: string, steps: Steps, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (!(cause instanceof OutOfSteps)) throw cause;
      throw InvalidArgument.at(
        this.field,
        `expected a regular expression that is quick to match, got ${show(this.source)}, which takes more than ${steps.most} steps up to a text of ${text.length} characters`,
        { cause },
      );
    }
  }

  /** Whether it matches anywhere. @throws InvalidArgument when the steps do not suffice. */
  test(text: string, steps: Steps): boolean {
    return this.bounded(text, steps, () => {
      const machine = new Machine(this.program, text, steps);
      // What begins with \A matches there or nowhere.
      const last = this.program.instructions[0].op === op.textStart ? 0 : text.length;
      for (let at = 0; at <= last; at++) if (machine.run(0, at) >= 0) return true;
      return false;
    });
  }

  /**
   * Where it matches: beginnings and ends by turns, in UTF-16 units, from left to right. Nothing that it matches right behind
   * a match counts not.
   * @throws InvalidArgument when the steps do not suffice.
   */
  matches(text: string, steps: Steps): number[] {
    return this.bounded(text, steps, () => {
      const machine = new Machine(this.program, text, steps);
      const found: number[] = [];
      for (let at = 0; at <= text.length; ) {
        const end = machine.run(0, at);
        if (end > at || (end === at && found.at(-1) !== at)) found.push(at, end);
        if (end > at) at = end;
        else at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      }
      return found;
    });
  }
}
