/** One door to the three families: hidden states, logits, and which weights a method trains. */
import { Rng } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import type { ModelInputs, Weights } from './blocks.js';
import { bloom } from './bloom.js';
import type { ModelConfig } from './config.js';
import { llama } from './llama.js';
import { type Lora, loraModules, loraScaling } from './lora.js';
import { opt } from './opt.js';
import { modelParameters, type Parameter } from './parameters.js';

/** What is trained: every weight, or a low-rank update of some linear layers. */
export type Method = { readonly name: 'full' } | ({ readonly name: 'lora' } & Lora);

/** Weights as graph inputs named after their parameters, linear layers with their low-rank update. */
export class GraphWeights implements Weights {
  readonly values = new Map<string, Value>();
  private readonly adapted: ReadonlyMap<string, { scaling: number }>;

  constructor(config: ModelConfig, method: Method) {
    for (const { name, shape } of [...modelParameters(config), ...trainableParameters(config, method)]) {
      if (!this.values.has(name)) this.values.set(name, b.input(name, 'float32', shape));
    }
    this.adapted = new Map(
      method.name === 'lora'
        ? loraModules(config, method).map(({ module }) => [module, { scaling: loraScaling(method) }])
        : [],
    );
  }

  get(name: string): Value {
    return this.values.get(name)!;
  }

  linear(x: Value, module: string, { bias }: { bias: boolean }): Value {
    const y = b.matmul(x, this.get(`${module}.weight`), { transposeY: true });
    const plain = bias ? b.add(y, this.get(`${module}.bias`)) : y;
    const lora = this.adapted.get(module);
    if (!lora) return plain;
    // s·B·A·x, narrow first.
    const down = b.matmul(x, this.get(`${module}.lora_A.weight`), { transposeY: true });
    const up = b.matmul(down, this.get(`${module}.lora_B.weight`), { transposeY: true });
    return b.add(plain, b.mul(up, b.scalar(lora.scaling)));
  }
}

/** Names and shapes of what the method trains, bottom layer first. */
export function trainableParameters(config: ModelConfig, method: Method): Parameter[] {
  if (method.name === 'full') return modelParameters(config);
  return loraModules(config, method).flatMap(({ module, into, out }) => [
    { name: `${module}.lora_A.weight`, shape: [method.rank, into] },
    { name: `${module}.lora_B.weight`, shape: [out, method.rank] },
  ]);
}

/**
 * Last hidden states [N, E] in the width of the embedding table. With `rows` [n] int64, flat positions b·T + t, those of
 * these positions alone, [n, E]: what follows the attention of the last layer is then computed for no other.
 */
export function hiddenStates(
  config: ModelConfig,
  weights: Weights,
  inputs: ModelInputs,
  rows?: Value,
): Value {
  if (config.family === 'llama') return llama(config, weights, inputs, rows);
  return config.family === 'opt' ? opt(config, weights, inputs, rows) : bloom(config, weights, inputs, rows);
}

const embeddings = {
  llama: 'model.embed_tokens.weight',
  opt: 'model.decoder.embed_tokens.weight',
  bloom: 'transformer.word_embeddings.weight',
} as const;

/** Logits [n, V] of hidden states [n, E]. */
export function logitsOf(config: ModelConfig, weights: Weights, hidden: Value): Value {
  const head = config.tieEmbeddings ? embeddings[config.family] : 'lm_head.weight';
  return b.matmul(hidden, weights.get(head), { transposeY: true });
}

/**
 * Fresh weights as Hugging Face draws them: normal with deviation 0.02, output projections of the residual stream
 * scaled by 1/√(2·layers) (Radford et al. 2019), norms 1, biases 0.
 */
export function initialTensors(config: ModelConfig, seed: number): Map<string, HostTensor> {
  const residual = /(o_proj|out_proj|down_proj|fc2|self_attention\.dense|dense_4h_to_h)\.weight$/;
  return new Map(
    modelParameters(config).map(({ name, shape }) => {
      const n = shape.reduce((a, d) => a * d, 1);
      if (shape.length === 1)
        return [name, float32(shape, new Float32Array(n).fill(name.endsWith('.bias') ? 0 : 1))];
      const rng = Rng.of(seed, 'init', name);
      const deviation = residual.test(name) ? 0.02 / Math.sqrt(2 * config.layers) : 0.02;
      return [
        name,
        float32(
          shape,
          Float32Array.from({ length: n }, () => deviation * rng.normal()),
        ),
      ];
    }),
  );
}
