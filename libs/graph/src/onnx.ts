/**
 * Writes a graph as an ordinary ONNX model.
 *
 * Node order matters: ONNX Runtime runs ready nodes by their index, so what is listed last runs last. Outputs that
 * nothing else needs (gradients of weights) are listed after everything, in the order given; listing bottom layers
 * first keeps the fewest activations alive.
 */
import { type DType, type InputKind, type Shape, topological, type Value } from './ir.js';
import { type External, encodeOnnx, type Initializer, type NamedNode } from './onnx-file.js';
import type { OnnxTarget } from './op-row.js';
import { rowOf, savedOf } from './ops.js';

const usualTarget: OnnxTarget = { exactSignedBytes: true };

interface OnnxModel {
  readonly bytes: Uint8Array;
  /** Inputs that became constants. */
  readonly externals: readonly string[];
  /** What must be fed. */
  readonly inputs: Readonly<
    Record<string, { readonly dtype: DType; readonly shape: Shape; readonly kind: InputKind }>
  >;
  readonly outputs: Readonly<Record<string, { readonly dtype: DType; readonly shape: Shape }>>;
}

/** A graph as the nodes of ONNX that it becomes. */
export interface LoweredGraph {
  readonly nodes: readonly NamedNode[];
  readonly initializers: readonly Initializer[];
  /** Each named after what is fed. */
  readonly inputs: readonly Value[];
}

/** Values in the order in which they are listed in a model: leaves of the graph last, in the order of the outputs. */
export function listed(outputs: readonly Value[]): Value[] {
  const order = topological(outputs);
  const used = new Set(order.flatMap((value) => value.inputs));
  return [...order.filter((value) => used.has(value)), ...order.filter((value) => !used.has(value))];
}

/** The nodes that compute the given values, by name. The order of the names is the order of the leaves. */
export function lowered(
  outputs: Readonly<Record<string, Value>>,
  target: OnnxTarget = usualTarget,
): LoweredGraph {
  const names = new Map<Value, string>();
  const nodes: NamedNode[] = [];
  const initializers: Initializer[] = [];
  const inputs: Value[] = [];

  const emit = (value: Value) => {
    const prefix = `v${names.size}`;
    names.set(value, value.op === 'Input' ? value.name! : prefix);
    if (value.op === 'Input') {
      inputs.push(value);
    } else if (value.op === 'Constant') {
      initializers.push({ name: prefix, dtype: value.dtype, shape: value.shape, data: value.data! });
    } else if (value.op === 'Saved') {
      const { name, of } = savedOf(value);
      names.set(value, `${names.get(of)}_${name}`);
    } else {
      const local = (name: string) =>
        name === '' || name === '$y'
          ? name && prefix
          : name.startsWith('$')
            ? names.get(value.inputs[Number(name.slice(1))])!
            : `${prefix}_${name}`;
      for (const { inputs: read, output, moreOutputs = [], ...node } of rowOf(value.op).lower(
        value,
        target,
      )) {
        nodes.push({
          ...node,
          inputs: read.map((item) => (typeof item === 'string' ? local(item) : item)),
          outputs: [output, ...moreOutputs].map(local),
        });
      }
    }
  };

  for (const value of listed(Object.values(outputs))) emit(value);
  // A graph output needs a name of its own, also where two names stand for one value.
  for (const [name, value] of Object.entries(outputs))
    nodes.push({ op: 'Identity', inputs: [names.get(value)!], outputs: [name] });
  return { nodes, initializers, inputs };
}

/** The model whose outputs are the given values, by name. Inputs that `externals` names are constants of the model. */
export function toOnnx(
  outputs: Readonly<Record<string, Value>>,
  externals: ReadonlyMap<string, External> = new Map(),
  target: OnnxTarget = usualTarget,
): OnnxModel {
  const graph = lowered(outputs, target);
  const leaves = graph.inputs.map(({ name, dtype, shape, kind }) => ({
    name: name!,
    dtype,
    shape,
    kind: kind!,
  }));
  const inputs = leaves.filter(({ name }) => !externals.has(name));
  const stored = leaves.flatMap((leaf): Initializer[] => {
    const { name, dtype, shape } = leaf;
    const data = externals.get(name);
    return data ? [{ name, dtype, shape, data }] : [];
  });
  const initializers = [...graph.initializers, ...stored];
  const results = Object.entries(outputs).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    bytes: Buffer.concat(encodeOnnx({ nodes: graph.nodes, initializers, inputs, outputs: results })),
    inputs: Object.fromEntries(inputs.map(({ name, dtype, shape, kind }) => [name, { dtype, shape, kind }])),
    externals: stored.map(({ name }) => name),
    outputs: Object.fromEntries(results.map(({ name, dtype, shape }) => [name, { dtype, shape }])),
  };
}
