/** Parameter values between the contract's messages and plain JavaScript. */
import type { ParameterValue } from '../gen/emotune/tuning/v1/experiment.js';

type Scalar = number | string | boolean;
export type PlainValue = Scalar | readonly PlainValue[];

/** Undefined where the message holds no value. */
export function plainValue(message: ParameterValue | null | undefined): PlainValue | undefined {
  const { number, text, flag, list } = message ?? {};
  return number ?? text ?? flag ?? list?.values.flatMap((value) => plainValue(value) ?? []);
}

export function valueMessage(value: PlainValue): ParameterValue {
  if (typeof value === 'number') return { number: value };
  if (typeof value === 'string') return { text: value };
  return typeof value === 'boolean' ? { flag: value } : { list: { values: value.map(valueMessage) } };
}

export function valueMessages(values: Readonly<Record<string, PlainValue>>): {
  [name: string]: ParameterValue;
} {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, valueMessage(value)]));
}

/** Of a training spec; a name without a value turns on what it is a group of. */
export function plainSettings(
  messages: Readonly<Record<string, ParameterValue>>,
): Record<string, PlainValue | object> {
  return Object.fromEntries(
    Object.entries(messages).map(([name, message]) => [name, plainValue(message) ?? {}]),
  );
}

export function plainValues(
  messages: Readonly<Record<string, ParameterValue>>,
): Record<string, PlainValue | undefined> {
  return Object.fromEntries(Object.entries(messages).map(([name, message]) => [name, plainValue(message)]));
}
