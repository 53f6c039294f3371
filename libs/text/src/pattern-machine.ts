/** The machine that matches: it backtracks with a stack of its own, and counts what it does. */
import type { CharacterSet } from './character-set.js';

/** What stands in `arg` and `other`. */
export const op = {
  /** code point */
  character: 0,
  /** number of the set */
  set: 1,
  /** where to go first, where to go when that fails */
  split: 2,
  /** where to go */
  jump: 3,
  /** Greedily as many as there are, at most: most; of the character or set that follows, which is passed over then. */
  repeat: 4,
  /** The body follows and ends with `match`; where to go on. */
  atomic: 5,
  /** Likewise; in `other`: negated. */
  ahead: 6,
  /** Likewise, with the lengths of the body in `least` and `most`. */
  behind: 7,
  lineStart: 8,
  lineEnd: 9,
  textStart: 10,
  textEnd: 11,
  textEndOrNewline: 12,
  /** number of the set of word characters; negated */
  boundary: 13,
  match: 14,
} as const;

export interface Instruction {
  readonly op: number;
  arg: number;
  other: number;
  readonly least: number;
  readonly most: number;
}

export interface Program {
  readonly instructions: readonly Instruction[];
  readonly sets: readonly CharacterSet[];
}

/** Once, where they are read millions of times. */
const {
  character,
  set: inSet,
  split,
  jump,
  repeat,
  atomic,
  ahead,
  behind,
  lineStart,
  lineEnd,
  textStart,
  textEnd,
  textEndOrNewline,
  match,
} = op;

const stepsAtFirst = 100_000;
const stepsPerCharacter = 256;

/** Matching would cost more than it may. */
export class OutOfSteps extends Error {}

/** What matching may still cost. Patterns that are tried on one text, or on one list, share it. */
export class Steps {
  private constructor(
    /** Below 0: none. */
    public left: number,
    readonly most: number,
  ) {}

  /** For texts that have so many UTF-16 units in all. */
  static of(length: number): Steps {
    const most = stepsAtFirst + stepsPerCharacter * length;
    return new Steps(most, most);
  }
}

/** Matches at one place of a text. */
export class Machine {
  /** Where to go on, from which place, and for a repetition the place of its first character. */
  private readonly stack: number[] = [];

  constructor(
    private readonly program: Program,
    private readonly text: string,
    private readonly steps: Steps,
  ) {}

  private spend(count: number): void {
    this.steps.left -= count;
    if (this.steps.left < 0) throw new OutOfSteps();
  }

  private isWord(code: number | undefined, set: number): boolean {
    return code !== undefined && this.program.sets[set].has(code);
  }

  private codeBefore(at: number): number | undefined {
    return at > 0 ? this.text.codePointAt(this.before(at)) : undefined;
  }

  private before(at: number): number {
    const isPair = at > 1 && (this.text.charCodeAt(at - 1) & 0xfc00) === 0xdc00;
    return at - (isPair && (this.text.charCodeAt(at - 2) & 0xfc00) === 0xd800 ? 2 : 1);
  }

  private looksBack(pc: number, at: number): boolean {
    const { least, most } = this.program.instructions[pc];
    let start = at;
    for (let length = 0; length <= most; length++) {
      if (length >= least && this.run(pc + 1, start, at) >= 0) return true;
      if (start === 0) return false;
      start = this.before(start);
    }
    return false;
  }

  /** The end of the match from here; −1 for none. @param wanted Where it has to end. */
  run(from: number, start: number, wanted = -1): number {
    const { stack, text } = this;
    const { instructions, sets } = this.program;
    const base = stack.length;
    let pc = from;
    let at = start;
    for (;;) {
      this.spend(1);
      const { op: code, arg, other, most } = instructions[pc];
      let holds = true;
      switch (code) {
        case character: {
          const found = text.codePointAt(at);
          if (found === arg) {
            at += arg > 0xffff ? 2 : 1;
            pc++;
          } else holds = false;
          break;
        }
        case inSet: {
          const found = text.codePointAt(at);
          if (found !== undefined && sets[arg].has(found)) {
            at += found > 0xffff ? 2 : 1;
            pc++;
          } else holds = false;
          break;
        }
        case split:
          stack.push(other, at, at);
          pc = arg;
          break;
        case jump:
          pc = arg;
          break;
        case repeat: {
          const { op: kind, arg: what } = instructions[pc + 1];
          const first = at;
          let count = 0;
          for (; count < most; count++) {
            const found = text.codePointAt(at);
            if (found === undefined || !(kind === inSet ? sets[what].has(found) : found === what)) break;
            at += found > 0xffff ? 2 : 1;
          }
          this.spend(count);
          pc += 2;
          if (at > first) stack.push(pc, this.before(at), first);
          break;
        }
        case atomic: {
          const end = this.run(pc + 1, at);
          if (end < 0) holds = false;
          else {
            at = end;
            pc = arg;
          }
          break;
        }
        case ahead:
        case behind: {
          const found = code === ahead ? this.run(pc + 1, at) >= 0 : this.looksBack(pc, at);
          if (found === (other === 0)) pc = arg;
          else holds = false;
          break;
        }
        case match:
          if (wanted < 0 || at === wanted) {
            stack.length = base;
            return at;
          }
          holds = false;
          break;
        default:
          holds = this.stands(pc, at);
          pc++;
      }
      if (holds) continue;
      if (stack.length === base) return -1;
      const first = stack.pop() as number;
      at = stack.pop() as number;
      pc = stack.pop() as number;
      if (at > first) stack.push(pc, this.before(at), first);
    }
  }

  /** Whether an assertion about the place holds. */
  private stands(pc: number, at: number): boolean {
    const { text } = this;
    const { op: code, arg, other } = this.program.instructions[pc];
    const atEnd = at === text.length;
    switch (code) {
      case textStart:
        return at === 0;
      case textEnd:
        return atEnd;
      case lineStart:
        return at === 0 || (!atEnd && text[at - 1] === '\n');
      case lineEnd:
        return atEnd || text[at] === '\n';
      case textEndOrNewline:
        return atEnd || (at === text.length - 1 && text[at] === '\n');
      default: {
        const here = this.isWord(text.codePointAt(at), arg) !== this.isWord(this.codeBefore(at), arg);
        return here === (other === 0);
      }
    }
  }
}
