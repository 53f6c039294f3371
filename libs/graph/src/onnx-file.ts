/** ONNX models (opset 18 and IR version 9, or what a node needs) on the wire, as onnx.proto has them. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type DType, dtypeCode, type Shape } from './ir.js';
import type { OnnxConstant, OnnxNode } from './op-row.js';

const usualOpset = 18;
/** The version of onnx.proto that came with an opset. */
const irVersionOf = (opset: number) => (opset < 21 ? 9 : 10);

/** A node whose names are those of the whole graph. */
export interface NamedNode extends Pick<OnnxNode, 'op' | 'inputs' | 'attributes' | 'domain' | 'since'> {
  readonly outputs: readonly string[];
}

/** Where the elements of a tensor lie: bytes `offset` to `offset + length` of a named file. */
export interface External {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** What is stored with a model. */
export interface Initializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Elements, row-major and little-endian, or where they are. */
  readonly data: ArrayBufferView | External;
}

/** An input or output. Named dimensions are known at a run. */
interface OnnxSignature {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly nodes: readonly NamedNode[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly OnnxSignature[];
  readonly outputs: readonly OnnxSignature[];
}

const lengthOf = (chunks: readonly Uint8Array[]) => chunks.reduce((n, { length }) => n + length, 0);

/** A field whose content is already written. Nothing of it is copied. */
function field(number: number, chunks: readonly Uint8Array[]): Uint8Array[] {
  return [
    new BinaryWriter()
      .uint32((number << 3) | 2)
      .uint32(lengthOf(chunks))
      .finish(),
    ...chunks,
  ];
}

function tensor({ name, dtype, shape, data }: Initializer): Uint8Array[] {
  const w = new BinaryWriter();
  for (const d of shape) w.uint32(8).int64(d);
  w.uint32(16).int32(dtypeCode[dtype]).uint32(66).string(name);
  if (!('location' in data))
    return [w.finish(), ...field(9, [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)])];
  for (const [key, value] of Object.entries({ ...data }))
    w.uint32(106).bytes(new BinaryWriter().uint32(10).string(key).uint32(18).string(String(value)).finish());
  return [w.uint32(112).int32(1).finish()];
}

function signature({ name, dtype, shape }: OnnxSignature): Uint8Array {
  const dims = new BinaryWriter();
  for (const d of shape) {
    const dim = new BinaryWriter();
    dims
      .uint32(10)
      .bytes((typeof d === 'number' ? dim.uint32(8).int64(d) : dim.uint32(18).string(d)).finish());
  }
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

function constantOf(name: string, constant: OnnxConstant): Initializer {
  if ('ints' in constant) {
    const data = BigInt64Array.from(constant.ints, BigInt);
    return { name, dtype: 'int64', shape: [data.length], data };
  }
  return 'float' in constant
    ? { name, dtype: 'float32', shape: [], data: Float32Array.of(constant.float) }
    : { name, dtype: 'uint8', shape: [], data: Uint8Array.of(constant.byte) };
}

/** The file in pieces, in their order; elements of tensors are not copied. */
export function encodeOnnx({ nodes, initializers, inputs, outputs }: OnnxGraph): Uint8Array[] {
  const constants = new Map<string, Initializer>();
  const constantName = (constant: OnnxConstant): string => {
    const key = JSON.stringify(constant);
    const found = constants.get(key) ?? constantOf(`c${constants.size}`, constant);
    constants.set(key, found);
    return found.name;
  };
  const body = new BinaryWriter();
  for (const node of nodes) {
    const w = new BinaryWriter();
    for (const item of node.inputs) w.uint32(10).string(typeof item === 'string' ? item : constantName(item));
    for (const output of node.outputs) w.uint32(18).string(output);
    w.uint32(34).string(node.op);
    for (const [name, item] of Object.entries(node.attributes ?? {}))
      w.uint32(42).bytes(attribute(name, item));
    if (node.domain) w.uint32(58).string(node.domain);
    body.uint32(10).bytes(w.finish());
  }
  const graph = [
    body.uint32(18).string('emotune').finish(),
    ...[...initializers, ...constants.values()].flatMap((stored) => field(5, tensor(stored))),
    ...inputs.flatMap((input) => field(11, [signature(input)])),
    ...outputs.flatMap((output) => field(12, [signature(output)])),
  ];
  const opset = Math.max(usualOpset, ...new Set(nodes.map(({ since = 0 }) => since)));
  const operators = new BinaryWriter();
  for (const [domain, version] of [
    ['', opset],
    ['com.microsoft', 1],
  ] as const) {
    operators
      .uint32(66)
      .bytes(new BinaryWriter().uint32(10).string(domain).uint32(16).int64(version).finish());
  }
  return [
    new BinaryWriter().uint32(8).int64(irVersionOf(opset)).uint32(18).string('emotune').finish(),
    ...field(7, graph),
    operators.finish(),
  ];
}
