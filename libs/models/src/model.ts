/** One door to the three families: hidden states, logits, and which weights a method trains. */
import { InvalidArgument, Rng, Violations } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import { z } from 'zod';
import type { ModelInputs, Weights } from './blocks.js';
import { bloom } from './bloom.js';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import { type BaseCompute, baseComputes, FrozenProducts, frozenForms, heldWeight } from './frozen.js';
import { llama } from './llama.js';
import {
  blockOf,
  embeddingModule,
  initialLora,
  type LoraModule,
  loraForm,
  loraModules,
  loraSettings,
  untiesHead,
  wholeParameters,
} from './lora.js';
import type { LoraForm } from './lora-form.js';
import { opt } from './opt.js';
import { modelParameters, type Parameter } from './parameters.js';

/** What is trained: weights themselves (all where neither field is given), or a low-rank update of some linear layers. */
export const methodSettings = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('full'),
    trainableLayers: z.number().int().min(0).optional().meta({
      description: 'blocks that are trained, counted from the top; nothing outside of the blocks is then',
      usual: 'all weights',
      shared: true,
    }),
    extraModules: z.array(z.string().min(1)).readonly().optional().meta({
      description:
        'modules that are trained beside these blocks, by the ends of their paths (`lm_head`, `embed_tokens`, `model.norm`)',
      shared: true,
    }),
  }),
  loraSettings.extend({
    name: z.literal('lora'),
    baseCompute: z.enum(baseComputes).optional().meta({
      description: 'how the frozen linear layers of the blocks are held and multiplied; see below',
      usual: '`fp32`',
      shared: true,
    }),
  }),
]);

export type Method = z.output<typeof methodSettings>;
type Full = Extract<Method, { name: 'full' }>;

/** Weights as graph inputs named after their parameters, linear layers with what adapts them. */
export class GraphWeights implements Weights {
  readonly values = new Map<string, Value>();
  private readonly adapted: ReadonlyMap<string, LoraModule>;
  private readonly form: LoraForm | undefined;
  private readonly head: string;
  private readonly trained: ReadonlySet<string>;
  private readonly frozen: FrozenProducts;
  /** x·Aᵀ by x and module, where several layers share one product. */
  private readonly narrow = new Map<Value, ReadonlyMap<string, Value>>();

  /** `inference`: for graphs without gradients, how the linear layers of the blocks are multiplied, whatever the method says. */
  constructor(config: ModelConfig, method: Method, inference?: BaseCompute) {
    this.frozen = new FrozenProducts(inference ?? baseComputeOf(method), inference === undefined);
    this.trained = new Set(
      inference === undefined ? trainableParameters(config, method).map(({ name }) => name) : [],
    );
    const modules = method.name === 'lora' ? loraModules(config, method) : [];
    this.form = method.name === 'lora' ? loraForm(method) : undefined;
    this.adapted = new Map(modules.map((module) => [module.module, module]));
    const tied = config.tieEmbeddings && !(method.name === 'lora' && untiesHead(config, method));
    this.head = tied ? embeddingModule(config) : 'lm_head';
    for (const { name, shape } of [
      ...modelParameters({ ...config, tieEmbeddings: tied }),
      ...trainableParameters(config, method),
      ...modules.flatMap((module) => this.form!.constants(module)),
    ])
      this.values.set(name, this.values.get(name) ?? b.weight(name, 'float32', shape));
  }

  get(name: string): Value {
    return this.values.get(name)!;
  }

  linears(x: Value, modules: readonly string[], options: { bias: boolean }): Value[] {
    this.shareNarrow(x, modules);
    return modules.map((module) => this.linear(x, module, options));
  }

  /** One product x·[A₁; A₂; …]ᵀ for the branches that see the same x. */
  private shareNarrow(x: Value, modules: readonly string[]): void {
    const sites = modules.flatMap((module) => this.adapted.get(module) ?? []);
    if (sites.length < 2 || sites.some(({ module }) => this.branchMask(x, module))) return;
    const rows = b.concat(
      sites.map(({ module }) => this.get(`${module}.lora_A.weight`)),
      0,
    );
    const all = b.matmul(x, rows, { transposeY: true });
    let end = 0;
    this.narrow.set(
      x,
      new Map(
        sites.map(({ module, rank }) => {
          end += rank;
          return [module, b.slice(all, 1, end - rank, end)];
        }),
      ),
    );
  }

  linear(x: Value, module: string, { bias }: { bias: boolean }): Value {
    const site = this.adapted.get(module);
    const y = site
      ? this.form!.apply(x, {
          ...site,
          base: (input) => this.base(input, module),
          tensor: (name) => this.get(`${module}.${name}`),
          mask: this.branchMask(x, module),
          narrow: this.narrow.get(x)?.get(module),
        })
      : this.base(x, module);
    return bias ? b.add(y, this.get(`${module}.bias`)) : y;
  }

  /** x·Wᵀ of the layer's own weight. */
  private base(x: Value, module: string): Value {
    const at = module === 'lm_head' ? this.head : module;
    const weight = this.get(`${at}.weight`);
    return isReduced(module) && !this.trained.has(`${at}.weight`)
      ? this.frozen.product(x, module, weight)
      : b.matmul(x, weight, { transposeY: true });
  }

  /** Multiplied into what an adapted layer's branch sees, [N, in] or [1, in]; nothing unless a subclass has a mask. */
  protected branchMask(_x: Value, _module: string): Value | undefined {
    return undefined;
  }
}

/**
 * Names and shapes of what the method trains, bottom layer first.
 * @throws InvalidArgument naming what the family does not have, and when nothing would be trained.
 */
export function trainableParameters(config: ModelConfig, method: Method): Parameter[] {
  if (method.name === 'full') return unfrozen(config, method);
  const form = loraForm(method);
  const modules = new Map(loraModules(config, method).map((module) => [module.module, module]));
  const whole = new Set(wholeParameters(config, method).map(({ name }) => name));
  return modelParameters({ ...config, tieEmbeddings: false }).flatMap((parameter) => {
    const site = modules.get(parameter.name.replace(/\.weight$/, ''));
    return [
      ...(whole.has(parameter.name) ? [parameter] : []),
      ...(site
        ? [
            { name: `${site.module}.lora_A.weight`, shape: [site.rank, site.into] },
            { name: `${site.module}.lora_B.weight`, shape: [site.out, site.rank] },
            ...form.parameters(site),
          ]
        : []),
    ];
  });
}

function unfrozen(config: ModelConfig, { trainableLayers, extraModules = [] }: Full): Parameter[] {
  const all = modelParameters(config);
  if (trainableLayers === undefined && extraModules.length === 0) return all;
  const violations = new Violations();
  const top = trainableLayers ?? 0;
  if (top > config.layers) violations.add('trainableLayers', `expected at most ${config.layers}, got ${top}`);
  const within = (name: string, end: string) => `.${name}`.includes(`.${end}.`);
  for (const end of extraModules) {
    if (!all.some(({ name }) => within(name, end)))
      violations.add(
        'extraModules',
        `expected modules of ${config.family}, got "${end}"${config.tieEmbeddings && end === 'lm_head' ? `; the head of this model is ${embeddingModule(config)}` : ''}`,
      );
  }
  violations.throwIfAny();
  const chosen = all.filter(({ name }) => {
    const block = blockOf(name);
    return (
      (block !== undefined && block >= config.layers - top) || extraModules.some((end) => within(name, end))
    );
  });
  if (chosen.length === 0)
    throw InvalidArgument.at('trainableLayers', 'expected at least 1, or extraModules, got nothing to train');
  return chosen;
}

/** Values at the start of all that the method trains. `seed` draws A. */
export function initialTrainable(model: Model, method: Method, seed: number): Map<string, HostTensor> {
  const { config, tensors } = model;
  const adapters =
    method.name === 'lora'
      ? new Map([...initialLora(config, method, seed), ...ofModules(model, method, 'initial')])
      : undefined;
  return new Map(
    trainableParameters(config, method).map(({ name }) => [
      name,
      adapters?.get(name) ?? tensors.get(name) ?? ownHead(model),
    ]),
  );
}

/** What graphs of the method read and do not train: the other weights, as the method holds them, and what follows from them. */
export function frozenTensors(model: Model, method: Method): Map<string, HostTensor> {
  const { config, tensors } = model;
  const trained = new Set(trainableParameters(config, method).map(({ name }) => name));
  const all = new Map(tensors);
  if (method.name === 'lora') {
    for (const [name, tensor] of ofModules(model, method, 'constant')) all.set(name, tensor);
    if (untiesHead(config, method)) all.set('lm_head.weight', ownHead(model));
  }
  const frozen = new Map([...all].filter(([name]) => !trained.has(name)));
  return heldTensors(config, frozen, baseComputeOf(method), { differentiable: true });
}

/** These tensors with the linear layers of the blocks as `base` holds them, for graphs with gradients or without. */
export function heldTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, HostTensor>,
  base: BaseCompute,
  { differentiable }: { readonly differentiable: boolean },
): Map<string, HostTensor> {
  const linear = new Set(
    modelParameters(config)
      .filter(({ name, shape }) => shape.length === 2 && isReduced(name))
      .map(({ name }) => name),
  );
  return new Map(
    [...tensors].flatMap(([name, tensor]): [string, HostTensor][] =>
      linear.has(name)
        ? frozenForms(name.replace(/\.weight$/, ''), tensor, base, differentiable)
        : [[name, tensor]],
    ),
  );
}

/** Whether `baseCompute` is about this linear layer: one of the blocks. */
function isReduced(module: string): boolean {
  return blockOf(module) !== undefined;
}

function baseComputeOf(method: Method): BaseCompute {
  return method.name === 'lora' ? (method.baseCompute ?? 'fp32') : 'fp32';
}

/** What a tied head starts from when it becomes a weight of its own: a copy of the token table. */
function ownHead({ config, tensors }: Model): HostTensor {
  const { shape, data } = tensors.get(`${embeddingModule(config)}.weight`)!;
  return float32(shape, Float32Array.from(data as Float32Array));
}

/** What the form of adaptation makes of the weight of each adapted layer. */
function ofModules(
  { config, tensors }: Model,
  method: Extract<Method, { name: 'lora' }>,
  what: 'initial' | 'constant',
): Map<string, HostTensor> {
  const form = loraForm(method);
  return new Map(
    loraModules(config, method).flatMap((module) => {
      const at =
        module.module === 'lm_head' && config.tieEmbeddings ? embeddingModule(config) : module.module;
      const weight = tensors.get(`${at}.weight`)!;
      const held = isReduced(module.module) ? heldWeight(weight, baseComputeOf(method)) : weight;
      return [...form[what](module, held.data as Float32Array)];
    }),
  );
}

/** LoRA+ (Hayou et al. 2024, §4): the factor of the learning rate of a trained weight. */
export function rateScaleOf(method: Method, name: string): number {
  return method.name === 'lora' && name.endsWith('.lora_B.weight') ? (method.loraPlusRatio ?? 1) : 1;
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

/** Logits [n, V] of hidden states [n, E]. */
export function logitsOf(weights: Weights, hidden: Value): Value {
  return weights.linear(hidden, 'lm_head', { bias: false });
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
