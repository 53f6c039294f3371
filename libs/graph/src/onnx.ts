/**
 * Writes a graph as an ordinary ONNX model (opset 18, IR version 9), wire format as in onnx.proto.
 *
 * Node order matters: ONNX Runtime runs ready nodes by their index, so what is listed last runs last. Outputs that
 * nothing else needs (gradients of weights) are listed after everything, in the order given; listing bottom layers
 * first keeps the fewest activations alive.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type DType, type Shape, topological, type Value } from './ir.js';
import { type OnnxConstant, type OnnxNode, rowOf, savedOf } from './ops.js';

const dtypeCode: Record<DType, number> = { float32: 1, uint8: 2, int8: 3, int64: 7, bool: 9, float16: 10 };
const opset = 18;

function bytesOf(data: Float32Array | BigInt64Array | Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function tensor(name: string, dtype: DType, shape: Shape, raw: Uint8Array): Uint8Array {
  const w = new BinaryWriter();
  for (const d of shape) w.uint32(8).int64(d);
  return w.uint32(16).int32(dtypeCode[dtype]).uint32(66).string(name).uint32(74).bytes(raw).finish();
}

/** A tensor whose elements lie elsewhere: ONNX's external data. */
function externalTensor(
  name: string,
  { dtype, shape }: Value,
  { location, offset, length }: External,
): Uint8Array {
  const w = new BinaryWriter();
  for (const d of shape) w.uint32(8).int64(d);
  w.uint32(16).int32(dtypeCode[dtype]).uint32(66).string(name);
  for (const [key, value] of Object.entries({ location, offset, length }))
    w.uint32(106).bytes(new BinaryWriter().uint32(10).string(key).uint32(18).string(String(value)).finish());
  return w.uint32(112).int32(1).finish();
}

function valueInfo(name: string, dtype: DType, shape: Shape): Uint8Array {
  const dims = new BinaryWriter();
  for (const d of shape) dims.uint32(10).bytes(new BinaryWriter().uint32(8).int64(d).finish());
  const tensorType = new BinaryWriter()
    .uint32(8)
    .int32(dtypeCode[dtype])
    .uint32(18)
    .bytes(dims.finish())
    .finish();
  const type = new BinaryWriter().uint32(10).bytes(tensorType).finish();
  return new BinaryWriter().uint32(10).string(name).uint32(18).bytes(type).finish();
}

function attribute(name: string, value: NonNullable<OnnxNode['attributes']>[string]): Uint8Array {
  const w = new BinaryWriter().uint32(10).string(name);
  if (typeof value === 'object' && 'float' in value)
    return w.uint32(21).float(value.float).uint32(160).int32(1).finish();
  if (typeof value === 'number') return w.uint32(24).int64(value).uint32(160).int32(2).finish();
  if (typeof value === 'string')
    return w.uint32(34).bytes(new TextEncoder().encode(value)).uint32(160).int32(3).finish();
  for (const item of value) w.uint32(64).int64(item);
  return w.uint32(160).int32(7).finish();
}

function constantTensor(name: string, constant: OnnxConstant): Uint8Array {
  if ('ints' in constant)
    return tensor(name, 'int64', [constant.ints.length], bytesOf(BigInt64Array.from(constant.ints, BigInt)));
  return 'float' in constant
    ? tensor(name, 'float32', [], bytesOf(Float32Array.of(constant.float)))
    : tensor(name, 'uint8', [], Uint8Array.of(constant.byte));
}

/** Where the elements of an input that never changes lie: bytes `offset` to `offset + length` of a named file. */
export interface External {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** What must be fed. */
  readonly inputs: Readonly<Record<string, { readonly dtype: DType; readonly shape: Shape }>>;
  readonly outputs: Readonly<Record<string, { readonly dtype: DType; readonly shape: Shape }>>;
}

/**
 * The model whose outputs are the given values, by name. The order of the names is the order of the leaves. Inputs that
 * `externals` names are constants of the model.
 */
export function toOnnx(
  outputs: Readonly<Record<string, Value>>,
  externals: ReadonlyMap<string, External> = new Map(),
): OnnxModel {
  const graph = new BinaryWriter();
  const names = new Map<Value, string>();
  const inputs: Record<string, { dtype: DType; shape: Shape }> = {};
  const initializers = new Map<string, Uint8Array>();
  const inputInfos: Uint8Array[] = [];
  let counter = 0;

  const constants = new Map<string, string>();
  const constantName = (constant: OnnxConstant): string => {
    const key = JSON.stringify(constant);
    let name = constants.get(key);
    if (name === undefined) {
      name = `c${constants.size}`;
      constants.set(key, name);
      initializers.set(name, constantTensor(name, constant));
    }
    return name;
  };

  const emit = (value: Value) => {
    const prefix = `v${counter++}`;
    if (value.op === 'Input') {
      names.set(value, value.name!);
      const external = externals.get(value.name!);
      if (external) {
        initializers.set(value.name!, externalTensor(value.name!, value, external));
        return;
      }
      inputs[value.name!] = { dtype: value.dtype, shape: value.shape };
      inputInfos.push(valueInfo(value.name!, value.dtype, value.shape));
      return;
    }
    names.set(value, prefix);
    if (value.op === 'Constant') {
      initializers.set(prefix, tensor(prefix, value.dtype, value.shape, bytesOf(value.data!)));
      return;
    }
    if (value.op === 'Saved') {
      const { name, of } = savedOf(value);
      names.set(value, `${names.get(of)}_${name}`);
      return;
    }
    for (const node of rowOf(value.op).lower(value)) {
      const w = new BinaryWriter();
      const local = (name: string) =>
        name === '' || name === '$y'
          ? name && prefix
          : name.startsWith('$')
            ? names.get(value.inputs[Number(name.slice(1))])!
            : `${prefix}_${name}`;
      for (const item of node.inputs)
        w.uint32(10).string(typeof item === 'string' ? local(item) : constantName(item));
      for (const output of [node.output, ...(node.moreOutputs ?? [])]) w.uint32(18).string(local(output));
      w.uint32(34).string(node.op);
      for (const [name, item] of Object.entries(node.attributes ?? {}))
        w.uint32(42).bytes(attribute(name, item));
      if (node.domain) w.uint32(58).string(node.domain);
      graph.uint32(10).bytes(w.finish());
    }
  };

  const order = topological(Object.values(outputs));
  const used = new Set(order.flatMap((value) => value.inputs));
  const leaves = order.filter((value) => !used.has(value));
  for (const value of order) if (used.has(value)) emit(value);
  for (const value of leaves) emit(value);
  // A graph output needs a name of its own, also where two names stand for one value.
  const outputInfos = Object.entries(outputs).map(([name, value]) => {
    graph
      .uint32(10)
      .bytes(
        new BinaryWriter()
          .uint32(10)
          .string(names.get(value)!)
          .uint32(18)
          .string(name)
          .uint32(34)
          .string('Identity')
          .finish(),
      );
    return valueInfo(name, value.dtype, value.shape);
  });
  graph.uint32(18).string('emotune');
  for (const bytes of initializers.values()) graph.uint32(42).bytes(bytes);
  for (const bytes of inputInfos) graph.uint32(90).bytes(bytes);
  for (const bytes of outputInfos) graph.uint32(98).bytes(bytes);

  const model = new BinaryWriter()
    .uint32(8)
    .int64(9)
    .uint32(18)
    .string('emotune')
    .uint32(58)
    .bytes(graph.finish());
  for (const [domain, version] of [
    ['', opset],
    ['com.microsoft', 1],
  ] as const) {
    model.uint32(66).bytes(new BinaryWriter().uint32(10).string(domain).uint32(16).int64(version).finish());
  }
  return {
    bytes: model.finish(),
    inputs,
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
    ),
  };
}
