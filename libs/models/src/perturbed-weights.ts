/**
 * Weights and activations with random masks over them, as training has them: dropout and mixout. Masks are inputs (see
 * `maskNames`, all bool), so that a step can be repeated to the bit.
 */
import { build as b, type Shape, type Value } from '@emotune/graph';
import type { ModelConfig } from './config.js';
import { loraModules } from './lora.js';
import { GraphWeights, type Method, trainableParameters } from './model.js';
import { maskNames, slotNames } from './names.js';

/** Rates are probabilities with which something is left out; 0 leaves the graph without the mask. */
export interface Masking {
  /** Elements of the token embeddings. */
  readonly embeddingDropout?: number;
  /** Elements of what attention and feed-forward layers add to the residual stream. */
  readonly hiddenDropout?: number;
  /** Elements of what LoRA branches see, for each token anew. */
  readonly loraDropout?: number;
  /**
   * Mixout (Lee, Cho and Kang 2020): W₀ + M⊙(W − W₀)/(1 − p), M Bernoulli(1 − p) by element or by input feature, for
   * the trained linear layers of the blocks. For LoRA W − W₀ is s·B·A; masked by input feature that is a mask over what the
   * branch sees, by element the product is formed.
   */
  readonly mixout?: { readonly rate: number; readonly over: 'element' | 'inputFeature' } | undefined;
}

/** x ⊙ mask/(1 − rate), the mask being a new input of x's shape. */
export function dropout(x: Value, name: string, rate: number): Value {
  const kept = b.input(name, 'bool', x.shape);
  return b.where(kept, b.mul(x, b.scalar(1 / (1 - rate))), b.scalar(0));
}

/** The layers whose output is added to the residual stream. */
const residualOutput = /\.(o_proj|out_proj|down_proj|fc2|dense|dense_4h_to_h)$/;
const blockLinear = /\.(layers|h)\.\d+\..*\.weight$/;

/** Which trained weights mixout mixes with the pretrained ones, `slotNames.pretrained`: the linear layers of the blocks. */
export function mixedParameters(config: ModelConfig, method: Method): string[] {
  if (method.name !== 'full') return [];
  return trainableParameters(config, method)
    .filter(({ name, shape }) => shape.length === 2 && blockLinear.test(name))
    .map(({ name }) => name);
}

export class PerturbedWeights extends GraphWeights {
  private readonly mixed: ReadonlyMap<string, Value>;
  /** s·B·A of the layers whose elements are masked. */
  private readonly updates: ReadonlyMap<string, Value>;

  constructor(
    config: ModelConfig,
    method: Method,
    private readonly masking: Masking,
  ) {
    super(config, method);
    const { mixout } = masking;
    const mixed = mixout ? mixedParameters(config, method) : [];
    this.mixed = new Map(
      mixed.map((name) => {
        const trained = super.get(name);
        const pretrained = b.weight(slotNames.pretrained(name), 'float32', trained.shape);
        const change = b.sub(trained, pretrained);
        return [name, b.add(pretrained, this.masked(change, name.replace(/\.weight$/, '')))];
      }),
    );
    const byElement = mixout?.over === 'element' && method.name === 'lora';
    this.updates = new Map(
      (byElement ? loraModules(config, method) : []).map(({ module, scaling }) => {
        const product = b.matmul(super.get(`${module}.lora_B.weight`), super.get(`${module}.lora_A.weight`));
        return [module, b.mul(product, b.scalar(scaling))];
      }),
    );
  }

  /** M⊙change/(1 − p). */
  private masked(change: Value, module: string): Value {
    const { rate, over } = this.masking.mixout!;
    const shape = over === 'element' ? change.shape : [1, change.shape[1]];
    const kept = b.input(maskNames.mixout(module), 'bool', shape);
    return b.where(kept, b.mul(change, b.scalar(1 / (1 - rate))), b.scalar(0));
  }

  protected override branchMask(x: Value, module: string): Value | undefined {
    const { loraDropout = 0, mixout } = this.masking;
    const factor = (name: string, shape: Shape, rate: number) =>
      b.where(b.input(name, 'bool', shape), b.scalar(1 / (1 - rate)), b.scalar(0));
    if (mixout?.over === 'inputFeature')
      return factor(maskNames.mixout(module), [1, x.shape[1]], mixout.rate);
    return loraDropout > 0 ? factor(maskNames.lora(module), x.shape, loraDropout) : undefined;
  }

  override get(name: string): Value {
    return this.mixed?.get(name) ?? super.get(name);
  }

  override linear(x: Value, module: string, options: { bias: boolean }): Value {
    let y = super.linear(x, module, options);
    const update = this.updates.get(module);
    // The layer has x·(W₀ + Δ)ᵀ already, so what is missing is x·(M⊙Δ/(1 − p) − Δ)ᵀ.
    if (update) y = b.add(y, b.matmul(x, b.sub(this.masked(update, module), update), { transposeY: true }));
    const { hiddenDropout = 0 } = this.masking;
    return hiddenDropout > 0 && residualOutput.test(module)
      ? dropout(y, maskNames.hidden(module), hiddenDropout)
      : y;
  }
}
