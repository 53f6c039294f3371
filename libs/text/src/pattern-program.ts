/** A regular expression in Oniguruma's syntax as a program for a machine that backtracks (`pattern.ts`). */
import { generate } from 'oniguruma-parser/generator';
import {
  type AlternativeNode,
  type AssertionNode,
  type CharacterClassElementNode,
  type CharacterClassNode,
  type CharacterSetNode,
  type LookaroundAssertionNode,
  type Node,
  parse,
  type QuantifierNode,
  type RegexNode,
} from 'oniguruma-parser/parser';
import { CharacterSet } from './character-set.js';
import { type Instruction, op, type Program } from './pattern-machine.js';

const longestSource = 20_000;
const mostInstructions = 50_000;

/** Pairs of letters that Unicode folds to one character, which is more than a class can say. */
const foldedPairs = /ss|f[fil]|st/;

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

type Given = { readonly ignoreCase?: boolean; readonly dotAll?: boolean; readonly extended?: boolean };

function withFlags(flags: Flags, given: { enable?: Given; disable?: Given } | undefined): Flags {
  const of = (name: keyof Flags) => (given?.enable?.[name] || flags[name]) && !given?.disable?.[name];
  return { ignoreCase: of('ignoreCase'), dotAll: of('dotAll') };
}

function refuse(what: string): never {
  throw new Error(`${what} is not supported`);
}

/** Lengths in characters; Infinity without an end. */
function lengthsOf(node: Node): readonly [number, number] {
  switch (node.type) {
    case 'Character':
    case 'CharacterClass':
    case 'CharacterSet':
      return [1, 1];
    case 'Alternative': {
      const all = node.body.map(lengthsOf);
      return [all.reduce((sum, [n]) => sum + n, 0), all.reduce((sum, [, n]) => sum + n, 0)];
    }
    case 'Group':
    case 'CapturingGroup': {
      const all = (node.body as AlternativeNode[]).map(lengthsOf);
      return [Math.min(...all.map(([n]) => n)), Math.max(...all.map(([, n]) => n))];
    }
    case 'Quantifier': {
      const [least, most] = lengthsOf(node.body);
      return [least * node.min, most === 0 ? 0 : most * (node.max ?? Infinity)];
    }
    default:
      return [0, 0];
  }
}

function isAscii(node: CharacterClassElementNode): boolean {
  if (node.type === 'Character') return node.value < 128;
  if (node.type === 'CharacterClassRange') return node.max.value < 128;
  return node.type === 'CharacterClass' && !node.negate && node.body.every(isAscii);
}

class Compiler {
  readonly instructions: Instruction[] = [];
  readonly sets: CharacterSet[] = [];
  private readonly known = new Map<string, number>();

  private put(code: number, { arg = 0, other = 0, least = 0, most = 0 } = {}): Instruction {
    if (this.instructions.length >= mostInstructions)
      throw new Error(`it repeats more than ${mostInstructions} parts`);
    const instruction = { op: code, arg, other, least, most };
    this.instructions.push(instruction);
    return instruction;
  }

  private setOf(source: string): number {
    let number = this.known.get(source);
    if (number === undefined) {
      number = this.sets.push(new CharacterSet(source)) - 1;
      this.known.set(source, number);
    }
    return number;
  }

  private class(node: CharacterClassNode | CharacterSetNode, flags: Flags): void {
    if (node.type === 'CharacterSet' && node.variableLength)
      refuse(`\\${node.kind === 'newline' ? 'R' : 'X'}`);
    if (flags.ignoreCase && node.type === 'CharacterClass' && !isAscii(node))
      refuse('a class of other characters than ASCII without regard to case');
    const regex = {
      type: 'Regex',
      body: [{ type: 'Alternative', body: [node] }],
      flags: { type: 'Flags', ...noFlags },
    } as unknown as RegexNode;
    const { pattern } = generate(regex);
    const modes = `${flags.ignoreCase ? 'i' : ''}${flags.dotAll ? 'm' : ''}`;
    this.put(op.set, { arg: this.setOf(modes === '' ? pattern : `(?${modes}:${pattern})`) });
  }

  private character(value: number, { ignoreCase }: Flags): void {
    const text = String.fromCodePoint(value);
    const [upper, lower] = [text.toUpperCase(), text.toLowerCase()];
    if (!ignoreCase || (upper === text && lower === text)) {
      this.put(op.character, { arg: value });
      return;
    }
    if (upper.length !== text.length || lower.length !== text.length)
      refuse(`${text} without regard to case`);
    this.put(op.set, { arg: this.setOf(`(?i:${text})`) });
  }

  private sequence(nodes: readonly Node[], flags: Flags): void {
    let run = '';
    for (const node of nodes) {
      run = node.type === 'Character' ? run + String.fromCodePoint(node.value) : '';
      if (flags.ignoreCase && foldedPairs.test(run.toLowerCase())) refuse(`${run} without regard to case`);
      this.node(node, flags);
    }
  }

  alternatives(all: readonly AlternativeNode[], given: Flags): void {
    const [first] = all[0].body;
    // It counts until the group ends; so does one that stands further back, but for what is before it.
    const begins = first?.type === 'Directive' && first.kind === 'flags';
    const flags = begins ? withFlags(given, first.flags) : given;
    const ends: Instruction[] = [];
    for (const [i, { body }] of all.entries()) {
      const split =
        i + 1 < all.length ? this.put(op.split, { arg: this.instructions.length + 1 }) : undefined;
      this.sequence(i === 0 && begins ? body.slice(1) : body, flags);
      if (!split) continue;
      ends.push(this.put(op.jump));
      split.other = this.instructions.length;
    }
    for (const end of ends) end.arg = this.instructions.length;
  }

  /** A body that is matched on its own. */
  private apart(
    code: number,
    body: () => void,
    given: { other?: number; least?: number; most?: number } = {},
  ) {
    const instruction = this.put(code, given);
    body();
    this.put(op.match);
    instruction.arg = this.instructions.length;
  }

  private quantifier({ kind, min, max: given, body }: QuantifierNode, flags: Flags): void {
    const max = given ?? Infinity;
    if (kind === 'possessive') {
      this.apart(op.atomic, () =>
        this.quantifier({ kind: 'greedy', min, max: given, body } as QuantifierNode, flags),
      );
      return;
    }
    for (let i = 0; i < min; i++) this.node(body, flags);
    if (max === min) return;
    const isOne = body.type === 'Character' || body.type === 'CharacterClass' || body.type === 'CharacterSet';
    if (isOne && kind === 'greedy') {
      this.put(op.repeat, { most: max - min });
      this.node(body, flags);
      return;
    }
    if (max === Infinity && lengthsOf(body)[0] === 0) refuse('repeating what may match nothing');
    const splits: Instruction[] = [];
    const enter = () => {
      const at = this.instructions.length;
      splits.push(this.put(op.split, { arg: at + 1 }));
      this.node(body, flags);
      return at;
    };
    if (max === Infinity) this.put(op.jump, { arg: enter() });
    else for (let i = min; i < max; i++) enter();
    for (const split of splits) {
      split.other = this.instructions.length;
      if (kind === 'lazy') [split.arg, split.other] = [split.other, split.arg];
    }
  }

  private look({ kind, negate, body }: LookaroundAssertionNode, flags: Flags): void {
    const other = negate ? 1 : 0;
    const all = body.map(lengthsOf);
    const [least, most] = [Math.min(...all.map(([n]) => n)), Math.max(...all.map(([, n]) => n))];
    if (kind === 'lookbehind' && most === Infinity) refuse('looking back without an end');
    const code = kind === 'lookahead' ? op.ahead : op.behind;
    this.apart(code, () => this.alternatives(body, flags), { other, least, most });
  }

  private assertion({ kind, negate }: AssertionNode): void {
    const code = assertions[kind];
    if (code !== undefined) this.put(code);
    else if (kind !== 'word_boundary') refuse(kind.replaceAll('_', ' '));
    else this.put(op.boundary, { arg: this.setOf('\\w'), other: negate ? 1 : 0 });
  }

  private node(node: Node, flags: Flags): void {
    if (node.type === 'Character') this.character(node.value, flags);
    else if (node.type === 'CharacterClass' || node.type === 'CharacterSet') this.class(node, flags);
    else if (node.type === 'CapturingGroup') this.alternatives(node.body, flags);
    else if (node.type === 'LookaroundAssertion') this.look(node, flags);
    else if (node.type === 'Assertion') this.assertion(node);
    else if (node.type === 'Quantifier') this.quantifier(node, flags);
    else if (node.type === 'Group') {
      const body = () => this.alternatives(node.body, withFlags(flags, node.flags));
      if (node.atomic) this.apart(op.atomic, body);
      else body();
    } else refuse(node.type === 'Directive' ? 'a flag or \\K within it' : node.type);
  }
}

const assertions: Readonly<Record<string, number>> = {
  line_start: op.lineStart,
  line_end: op.lineEnd,
  string_start: op.textStart,
  string_end: op.textEnd,
  string_end_newline: op.textEndOrNewline,
};

const noFlags = { ignoreCase: false, dotAll: false, extended: false };

/** @throws Error where it is none, or one whose matches are not computed here. */
export function compile(source: string): Program {
  if (source.length > longestSource)
    throw new Error(`it has ${source.length} characters, and more than ${longestSource} are not supported`);
  // Names of properties are checked by Oniguruma itself.
  const { body } = parse(source, { skipPropertyNameValidation: true });
  const compiler = new Compiler();
  compiler.alternatives(body, noFlags);
  const { instructions, sets } = compiler;
  return { instructions: [...instructions, { op: op.match, arg: 0, other: 0, least: 0, most: 0 }], sets };
}
