/** What a form of low-rank adaptation does to a linear layer. */
import type { HostTensor } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import type { LoraModule } from './lora.js';
import type { Parameter } from './parameters.js';

/** An adapted layer in a graph. */
export interface LoraSite extends LoraModule {
  /** x·Wᵀ of the frozen weight: [n, in] → [n, out]. */
  readonly base: (x: Value) => Value;
  /** The tensor `<module>.<name>`. */
  readonly tensor: (name: string) => Value;
  /** Multiplied into the branch's input alone, [N, in] or [1, in]. */
  readonly mask?: Value | undefined;
  /** x·Aᵀ [N, r], where it is known already; never beside a mask. */
  readonly narrow?: Value | undefined;
}

export interface LoraForm {
  /** What is trained beside A and B. */
  parameters(module: LoraModule): Parameter[];
  /** Their values at the start, from the layer's weight [out, in]. */
  initial(module: LoraModule, weight: Float32Array): Map<string, HostTensor>;
  /** Constants of the frozen weight that the graph reads. */
  constants(module: LoraModule): Parameter[];
  /** Their values. */
  constant(module: LoraModule, weight: Float32Array): Map<string, HostTensor>;
  /** The adapted product without bias: [N, in] → [N, out]. */
  apply(x: Value, site: LoraSite): Value;
  /** The adapted weight [out, in]; `updated` is W + s·B·A, which it may overwrite. */
  merge(module: LoraModule, updated: Float32Array, tensor: (name: string) => Float32Array): Float32Array;
}

/** s·B·A·x, narrow first. */
export function branch(x: Value, { mask, narrow, tensor, scaling }: LoraSite): Value {
  const down = narrow ?? b.matmul(mask ? b.mul(x, mask) : x, tensor('lora_A.weight'), { transposeY: true });
  return b.matmul(down, tensor('lora_B.weight'), { transposeY: true, scale: scaling });
}
