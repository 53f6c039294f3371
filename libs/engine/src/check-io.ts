/** What every executor refuses before it runs anything. */
import { Violations } from '@emotune/base';
import { sameShape } from '@emotune/graph';
import type { Program, RunIO, SweepIO } from './executor.js';

/** @throws InvalidArgument naming every input or output that is missing, unknown or of the wrong type or shape. */
export function checkRun({ inputs, outputs }: Program, io: RunIO): void {
  const given = new Set([...Object.keys(io.feeds), ...Object.keys(io.from ?? {})]);
  const violations = new Violations([
    ...Object.keys(inputs)
      .filter((name) => !given.has(name))
      .map((name) => ({
        field: name,
        description: `expected a tensor of [${inputs[name].shape}], got nothing`,
      })),
    ...[...given]
      .filter((name) => !(name in inputs))
      .map((name) => ({
        field: name,
        description: `expected one of the graph's inputs: ${Object.keys(inputs).join(', ')}`,
      })),
    ...[...io.fetch, ...Object.keys(io.to ?? {}), ...Object.keys(io.into ?? {})]
      .filter((name) => !(name in outputs))
      .map((name) => ({
        field: name,
        description: `expected one of the graph's outputs: ${Object.keys(outputs).join(', ')}`,
      })),
    ...Object.entries(io.feeds)
      .filter(
        ([name, t]) =>
          name in inputs && (t.dtype !== inputs[name].dtype || !sameShape(t.shape, inputs[name].shape)),
      )
      .map(([name, t]) => ({
        field: name,
        description: `expected ${inputs[name].dtype} [${inputs[name].shape}], got ${t.dtype} [${t.shape}]`,
      })),
  ]);
  violations.throwIfAny();
}

/** @throws InvalidArgument naming every input that is missing or unknown. */
export function checkSweep({ inputs }: Program, io: SweepIO): void {
  const given = [...Object.keys(io.feeds), ...Object.keys(io.from)];
  const violations = new Violations([
    ...Object.keys(inputs)
      .filter((name) => !given.includes(name))
      .map((name) => ({ field: name, description: 'expected slots or a tensor, got nothing' })),
    ...given
      .filter((name) => !(name in inputs))
      .map((field) => ({
        field,
        description: `expected one of the graph's inputs: ${Object.keys(inputs)}`,
      })),
  ]);
  violations.throwIfAny();
}
