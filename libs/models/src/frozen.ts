/**
 * How the linear layers of a frozen base are held and multiplied: exactly, in half precision, with 8-bit weights (one scale
 * for each output channel) and activations quantised row by row (SwitchBack: Wortsman et al. 2023), or with weights in
 * 4-bit blocks (QLoRA: Dettmers et al. 2023).
 */
import { InvalidArgument } from '@emotune/base';
import { float16, float32, type HostTensor, int8, reading, toFloat16 } from '@emotune/engine';
import { build as b, type DType, int4Block, type Value } from '@emotune/graph';
import { quantizeBlocks, throughBlocks } from './int4-blocks.js';

/**
 * `fp32`: exact. `fp16`: weights held in half precision, widened for each product, sums in float32. `int8`: forward
 * product and gradient of the input in 8 bits; a quantised base in the sense of QLoRA, which moves the model a little.
 * `int8-backward`: exact forward product, 8 bits for the gradient alone. `int4`: weights held in 4-bit blocks, widened for
 * each product; a quantised base too, whose gradient is exact.
 */
export const baseComputes = ['fp32', 'fp16', 'int8', 'int8-backward', 'int4'] as const;
export type BaseCompute = (typeof baseComputes)[number];

const reach = 127;
/** Numbers from here on round to infinity in float16. */
const halfReach = 65520;

/** The columns of a matrix [rows, columns] as int8 and their scales; `transposed` reads it from [columns, rows]. */
function quantizeColumns(
  { shape, data }: HostTensor,
  transposed: boolean,
): { weight: HostTensor; scale: HostTensor } {
  const [rows, columns] = transposed ? [shape[1], shape[0]] : shape;
  const source = data as Float32Array;
  const scale = new Float32Array(columns);
  const weight = new Int8Array(rows * columns);
  const [byRow, byColumn] = transposed ? [1, rows] : [columns, 1];
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      scale[c] = Math.max(scale[c], Math.abs(source[r * byRow + c * byColumn]));
  for (let c = 0; c < columns; c++) scale[c] = scale[c] === 0 ? 1 : scale[c] / reach;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      weight[r * columns + c] = Math.round(source[r * byRow + c * byColumn] / scale[c]);
  return { weight: int8([rows, columns], weight), scale: float32([columns], scale) };
}

/** @throws InvalidArgument when float16 does not reach as far as a weight does. */
function halved(module: string, { shape, data }: HostTensor): HostTensor {
  const far = (data as Float32Array).find((x) => Math.abs(x) >= halfReach);
  if (far !== undefined)
    throw InvalidArgument.at(
      'baseCompute',
      `expected fp32: ${module}.weight has ${far}, beyond the ${halfReach} of float16`,
    );
  return float16(shape, toFloat16(data as Float32Array));
}

/** What stands for the weight [out, in] of `module` in graphs with this base, and for their gradients. */
export function frozenForms(
  module: string,
  weight: HostTensor,
  base: BaseCompute,
  differentiable: boolean,
): [string, HostTensor][] {
  if (base === 'fp32') return [[`${module}.weight`, weight]];
  if (base === 'fp16') return [[`${module}.fp16`, reading(weight, (read) => halved(module, read))]];
  if (base === 'int4') {
    const { weight: bytes, scale } = reading(weight, quantizeBlocks);
    return [
      [`${module}.int4`, bytes],
      [`${module}.int4_scale`, scale],
    ];
  }
  const columns = (name: string, transposed: boolean): [string, HostTensor][] => {
    const { weight: bytes, scale } = reading(weight, (read) => quantizeColumns(read, transposed));
    return [
      [`${module}.${name}`, bytes],
      [`${module}.${name}_scale`, scale],
    ];
  };
  const forward = base === 'int8' ? columns('int8', true) : ([[`${module}.weight`, weight]] as const);
  const back = differentiable ? columns('int8_back', false) : [];
  return [...forward, ...back].map(([name, tensor]) => [name, tensor]);
}

/** The weight that the base takes for one where products are exact but for how it is held. */
export function heldWeight(weight: HostTensor, base: BaseCompute): HostTensor {
  return base === 'int4' ? throughBlocks(weight) : weight;
}

/** x·Wᵀ of the frozen weight W [out, in] of `module`. */
export class FrozenProducts {
  /** The quantized form of each x that products share. */
  private readonly quantized = new Map<Value, Value>();
  private readonly inputs = new Map<string, Value>();

  /** `differentiable`: the products have gradients, and inputs for them. */
  constructor(
    private readonly base: BaseCompute,
    private readonly differentiable: boolean,
  ) {}

  private input(name: string, dtype: DType, shape: readonly number[]): Value {
    const value = this.inputs.get(name) ?? b.weight(name, dtype, shape);
    this.inputs.set(name, value);
    return value;
  }

  product(x: Value, module: string, weight: Value): Value {
    if (this.base === 'fp32') return b.matmul(x, weight, { transposeY: true });
    const [out, into] = weight.shape;
    if (this.base === 'fp16')
      return b.halfMatMul(x, this.input(`${module}.fp16`, 'float16', [out, into]), { transposeY: true });
    if (this.base === 'int4')
      return b.int4MatMul(x, [
        this.input(`${module}.int4`, 'uint8', [Math.ceil(out / 2), into]),
        this.input(`${module}.int4_scale`, 'float32', [out, Math.ceil(into / int4Block)]),
      ]);
    const int8 = (name: string, rows: number, columns: number) =>
      [
        this.input(`${module}.${name}`, 'int8', [rows, columns]),
        this.input(`${module}.${name}_scale`, 'float32', [columns]),
      ] as const;
    if (this.base === 'int8-backward') return b.matmulInt8Gradient(x, weight, int8('int8_back', out, into));
    const back = this.differentiable ? int8('int8_back', out, into) : ([] as const);
    const quantized = this.quantized.get(x) ?? b.quantizeRows(x);
    this.quantized.set(x, quantized);
    return b.int8MatMul(x, int8('int8', into, out), back, quantized);
  }
}
