/** Low-rank adaptation (Hu et al. 2022): W + s·B·A with A [r, in], B [out, r]; names and defaults as PEFT has them. */
import { InvalidArgument, nearest, Rng } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import type { ModelConfig } from './config.js';
import { modelParameters } from './parameters.js';

export interface Lora {
  /** r, at least 1. */
  readonly rank: number;
  readonly alpha: number;
  /** Last part of the module paths to adapt (`q_proj`); empty or absent means every linear layer of the blocks. */
  readonly targets?: readonly string[] | undefined;
  /** s = α/√r (Kalajdzievski 2023) instead of α/r. */
  readonly rankStabilised?: boolean | undefined;
}

export interface LoraModule {
  /** Path without `.weight`. */
  readonly module: string;
  readonly into: number;
  readonly out: number;
}

export function loraScaling({ alpha, rank, rankStabilised }: Lora): number {
  return rankStabilised ? alpha / Math.sqrt(rank) : alpha / rank;
}

const layerPath = /\.(layers|h)\.\d+\./;

/**
 * The linear layers that are adapted, bottom first.
 * @throws InvalidArgument naming a target that the family does not have.
 */
export function loraModules(config: ModelConfig, { targets = [] }: Lora): LoraModule[] {
  const linears = modelParameters(config)
    .filter(({ name, shape }) => shape.length === 2 && layerPath.test(name))
    .map(({ name, shape }) => ({ module: name.replace(/\.weight$/, ''), out: shape[0], into: shape[1] }));
  const names = [...new Set(linears.map(({ module }) => module.slice(module.lastIndexOf('.') + 1)))];
  const unknown = targets.filter((target) => !names.includes(target));
  if (unknown.length > 0) {
    throw new InvalidArgument(
      unknown.map((target) => {
        const near = nearest(target, names);
        return {
          field: 'targets',
          description: `expected modules of ${config.family} (${names.join(', ')}), got "${target}"${near ? `, did you mean "${near}"?` : ''}`,
        };
      }),
    );
  }
  return targets.length === 0
    ? linears
    : linears.filter(({ module }) => targets.some((t) => module.endsWith(`.${t}`)));
}

/** A uniform on ±1/√in (Kaiming with a = √5, as PEFT), B zeros: the adapted model starts as the base. */
export function initialLora(config: ModelConfig, lora: Lora, seed: number): Map<string, HostTensor> {
  return new Map(
    loraModules(config, lora).flatMap(({ module, into, out }): [string, HostTensor][] => {
      const rng = Rng.of(seed, 'lora', module);
      const bound = 1 / Math.sqrt(into);
      const a = Float32Array.from({ length: lora.rank * into }, () => bound * (2 * rng.uniform() - 1));
      return [
        [`${module}.lora_A.weight`, float32([lora.rank, into], a)],
        [`${module}.lora_B.weight`, float32([out, lora.rank], new Float32Array(out * lora.rank))],
      ];
    }),
  );
}
