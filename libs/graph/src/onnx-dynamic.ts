/**
 * Graphs whose sizes are known at a run. Ours have fixed shapes, so the graph is built for two sets of sizes and the two
 * are compared: a number that is the same in both is fixed; one that differs is a multiple of a size, or of a product or
 * sum of sizes, and is computed from them in the exported graph. Anything else that differs cannot be exported.
 */
import { Internal } from '@emotune/base';
import type { Value } from './ir.js';
import { type LoweredGraph, lowered } from './onnx.js';
import type { Initializer, NamedNode } from './onnx-file.js';
import type { OnnxConstant } from './op-row.js';

/** A number that depends on sizes. */
export interface SizeTerm {
  /** What the tensor that holds it ([1] int64) is called. */
  readonly name: string;
  /** It, under each of the two sets of sizes. */
  readonly values: readonly [number, number];
}

/**
 * The nodes of a graph that `outputs` builds under either set of sizes, with sizes read from the tensors of `terms`. Its
 * inputs have the shapes of the first set.
 */
export function dynamicNodes(
  outputs: readonly [Readonly<Record<string, Value>>, Readonly<Record<string, Value>>],
  terms: readonly SizeTerm[],
): LoweredGraph {
  const [one, two] = [lowered(outputs[0]), lowered(outputs[1])];
  const alike = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const fail = (what: string): never => {
    throw new Internal(`expected a graph whose numbers follow from its sizes, got ${what}`);
  };
  if (one.nodes.length !== two.nodes.length) fail('another graph for other sizes');
  if (one.initializers.some(({ data }, i) => !sameElements(data, two.initializers[i].data)))
    fail('other constants for other sizes');
  const nodes: NamedNode[] = [];
  const computed = new Map<string, string>();
  /** Name of the tensor that `make` adds nodes for, once for each key. */
  const once = (key: string, make: (name: string) => void): string => {
    let name = computed.get(key);
    if (name === undefined) {
      name = `size_${computed.size}`;
      computed.set(key, name);
      make(name);
    }
    return name;
  };
  const numberOf = (a: number, b: number): string | OnnxConstant => {
    if (a === b) return { ints: [a] };
    const term = terms.find(({ values: [p, q] }) => a % p === 0 && b % q === 0 && a / p === b / q);
    if (!term) return fail(`${a} and ${b}`);
    const factor = a / term.values[0];
    if (factor === 1) return term.name;
    return once(`${factor} ${term.name}`, (name) =>
      nodes.push({ op: 'Mul', inputs: [term.name, { ints: [factor] }], outputs: [name] }),
    );
  };
  const integersOf = (a: readonly number[], b: readonly number[]): string | OnnxConstant => {
    if (alike(a, b)) return { ints: a };
    if (a.length !== b.length) {
      // 0, 1, 2, …
      if (a.some((n, i) => n !== i) || b.some((n, i) => n !== i))
        fail(`lists of ${a.length} and ${b.length}`);
      const length = numberOf(a.length, b.length);
      return once(`range ${JSON.stringify(length)}`, (name) => {
        // Start, end and step are scalars.
        const scalars = [{ ints: [0] }, length, { ints: [1] }].map((value, n) => {
          nodes.push({ op: 'Squeeze', inputs: [value], outputs: [`${name}_${n}`] });
          return `${name}_${n}`;
        });
        nodes.push({ op: 'Range', inputs: scalars, outputs: [name] });
      });
    }
    const parts = a.map((n, i) => numberOf(n, b[i]));
    if (parts.length === 1) return parts[0];
    return once(JSON.stringify(parts), (name) =>
      nodes.push({ op: 'Concat', inputs: parts, outputs: [name], attributes: { axis: 0 } }),
    );
  };
  one.nodes.forEach((node, i) => {
    const other = two.nodes[i];
    if (node.op !== other.op || !alike(node.attributes, other.attributes))
      fail(`other attributes of ${node.op}`);
    const inputs = node.inputs.map((item, n) => {
      const same = other.inputs[n];
      if (typeof item === 'object' && typeof same === 'object' && 'ints' in item && 'ints' in same)
        return integersOf(item.ints, same.ints);
      return alike(item, same) ? item : fail(`other inputs of ${node.op}`);
    });
    nodes.push({ ...node, inputs });
  });
  return { ...one, nodes };
}

function sameElements(a: Initializer['data'], b: Initializer['data']): boolean {
  if ('location' in a || 'location' in b) return false;
  const bytes = (x: typeof a) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}
