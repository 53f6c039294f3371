/** Options that several commands share, and how their values are read. */
import { common } from '@emotune/proto';
import type { Channel } from '@emotune/service/client';
import { parseScale } from '@emotune/service/spec';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.js';
import { type GlobalOptions, Session, withPlatform } from '../session.js';
import { workOf } from '../work.js';

/** Adds a noun's or verb's commands to the program. */
export type AddCommands = (program: Command, io: Io) => void;

/** The session of a running command. */
export function sessionOf(io: Io, command: Command): Session {
  return new Session(io, command.optsWithGlobals<GlobalOptions>(), workOf(command));
}

export interface Call {
  readonly session: Session;
  readonly channel: Channel;
  /** Cancels what the command has under way. */
  readonly signal: AbortSignal;
  /** Whether the platform runs in this process, and only for this command. */
  readonly embedded: boolean;
}

/** The action of a command that only asks the platform. `run` gets the command's arguments and then its options. */
export function asks<Arguments extends unknown[]>(
  io: Io,
  run: (call: Call, ...args: Arguments) => Promise<void>,
): (...args: unknown[]) => Promise<void> {
  return (...args) => {
    const session = sessionOf(io, args.at(-1) as Command);
    return withPlatform(session, (channel, embedded) =>
      run({ session, channel, signal: session.signal, embedded }, ...(args.slice(0, -1) as Arguments)),
    );
  };
}

function scale(text: string): { low: number; high: number } {
  const range = parseScale(text);
  if (range === undefined) throw new InvalidArgumentError('Expected LO..HI such as 0..1 or -4..4.');
  return range;
}

function labels(text: string): string[] {
  const list = text.split(',').map((label) => label.trim());
  if (list.length < 2 || list.includes('')) throw new InvalidArgumentError('Expected labels such as a,b,c.');
  return list;
}

export function integerFrom(least: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(n) || n < least)
      throw new InvalidArgumentError(`Expected an integer of at least ${least}.`);
    return n;
  };
}

const { TASK_UNSPECIFIED, UNRECOGNIZED, ...taskMessages } = common.Task;

/** The subtasks by the words that people write. */
const tasks = new Map(
  Object.values(taskMessages).map((message) => [
    message.slice('TASK_'.length).toLowerCase().replaceAll('_', '-'),
    message,
  ]),
);

export function taskOption(description: string): Option {
  return new Option('--task <task>', description).choices([...tasks.keys()]);
}

/** @param word one of the option's choices */
export function taskMessage(word: string): common.Task {
  return tasks.get(word)!;
}

export const scaleOption = (description: string) =>
  new Option('--scale <lo..hi>', description).argParser(scale);

export const labelsOption = (description: string) =>
  new Option('--labels <a,b,c>', description).argParser(labels);

export const splitOption = (description: string) =>
  new Option('--split <split>', description).choices(['train', 'validation', 'test']);

export const fileOption = (what: string) =>
  new Option('-f, --file <yaml>', `the ${what} as YAML`).makeOptionMandatory();

export type ParameterOptions = Record<string, number | string | boolean>;

function parameterValue(given: string): ParameterOptions[string] {
  if (given === 'true' || given === 'false') return given === 'true';
  const number = given.trim() === '' ? Number.NaN : Number(given);
  return Number.isFinite(number) ? number : given;
}

/** Collects `name=value`: a number, true, false or a text. */
export function parameterOf(text: string, others: ParameterOptions = {}): ParameterOptions {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Expected NAME=VALUE such as learningRate=0.001.');
  const [name, given] = [text.slice(0, equals), text.slice(equals + 1)];
  return {
    ...others,
    [name]: parameterValue(given),
  };
}
