/** Parameter values between the contract's messages and plain JavaScript. */
import type { tuning } from '@emotune/proto';
import type { Assignment, ParameterValue } from '@emotune/search';

/** Undefined where the message holds no value. */
export function plainValue(message: tuning.ParameterValue | null | undefined): ParameterValue | undefined {
  return message?.number ?? message?.text ?? message?.flag ?? undefined;
}

export function valueMessage(value: ParameterValue): tuning.ParameterValue {
  if (typeof value === 'number') return { number: value };
  return typeof value === 'string' ? { text: value } : { flag: value };
}

export function valueMessages(values: Assignment): { [name: string]: tuning.ParameterValue } {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, valueMessage(value)]));
}

export function plainValues(
  messages: Readonly<Record<string, tuning.ParameterValue>>,
): Record<string, ParameterValue | undefined> {
  return Object.fromEntries(Object.entries(messages).map(([name, message]) => [name, plainValue(message)]));
}
