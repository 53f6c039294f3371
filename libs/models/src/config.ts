/**
 * What a model is: one of three families with its sizes, read from a Hugging Face `config.json`. What transformers' class
 * of the family reads is computed here or refused by name; what else decides numbers (`config-fields.ts`) is refused
 * unless neutral; any other field changes nothing.
 */
import { InvalidArgument, parse, show, Violations } from '@emotune/base';
import { z } from 'zod';
import { decidingFields } from './config-fields.js';

/** How rotary frequencies are stretched beyond the trained length. */
type RopeScaling =
  | { readonly type: 'linear' | 'dynamic'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

interface Common {
  readonly vocabSize: number;
  /** H, the width of the residual stream. */
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly tieEmbeddings: boolean;
  readonly bosTokenId: number | null;
  /** Each ends what the model writes; the first is how its answers end. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

export interface LlamaConfig extends Common {
  readonly family: 'llama';
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

export interface OptConfig extends Common {
  readonly family: 'opt';
  readonly intermediateSize: number;
  readonly maxPositions: number;
  /** Pre-LN; opt-350m is post-LN. */
  readonly normBefore: boolean;
  /** Width of the embedding table; where it differs from H there are projections in and out. */
  readonly embeddingSize: number;
}

export interface BloomConfig extends Common {
  readonly family: 'bloom';
  readonly normEpsilon: number;
  /** Residuals start from the normalised input. */
  readonly residualAfterNorm: boolean;
}

export type ModelConfig = LlamaConfig | OptConfig | BloomConfig;
export type Family = ModelConfig['family'];

/** Fields that every program writes and that change nothing here: bookkeeping, initialisation, and dropout, which training here sets itself. */
const inert = new Set(
  `architectures model_type torch_dtype dtype transformers_version use_cache initializer_range init_std _name_or_path
  attention_dropout hidden_dropout dropout activation_dropout layerdrop pretraining_tp prefix unk_token_id
  seq_length offset_alibi masked_softmax_fusion bias_dropout_fusion skip_bias_add skip_bias_add_qkv attention_softmax_in_fp32
  num_attention_heads_old output_attentions output_hidden_states return_dict is_llama_config
  chunk_size_feed_forward is_encoder_decoder is_decoder add_cross_attention id2label label2id num_labels problem_type
  tokenizer_class task_specific_params torchscript use_bfloat16 tie_encoder_decoder`
    .trim()
    .split(/\s+/),
);

const size = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31);
/** More than any published model has; a file's count of layers decides how many names are made. */
const layers = size.max(10_000);
/** −1 stands for none. */
const tokenId = z
  .number()
  .int()
  .min(-1)
  .max(2 ** 31);
const token = tokenId.nullish().transform((id) => (id === -1 ? null : (id ?? null)));
const tokens = z
  .union([tokenId, z.array(tokenId)])
  .nullish()
  .transform((ids) => [ids ?? []].flat().filter((id) => id !== -1));
const common = {
  vocab_size: size,
  hidden_size: size,
  tie_word_embeddings: z.boolean().nullish(),
  bos_token_id: token,
  eos_token_id: tokens,
  pad_token_id: token,
};

const ropeFields = {
  rope_type: z.enum(['default', 'linear', 'dynamic', 'llama3']).optional(),
  type: z.enum(['default', 'linear', 'dynamic', 'llama3']).optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.literal(1).nullish(),
};
const rope = z.looseObject(ropeFields);

/** What each type of scaling takes beside `ropeFields`; anything else of it is refused. */
const ropeScalings = {
  default: z.strictObject(ropeFields),
  linear: z.strictObject({ ...ropeFields, factor: z.number().positive() }),
  dynamic: z.strictObject({ ...ropeFields, factor: z.number().positive() }),
  llama3: z
    .strictObject({
      ...ropeFields,
      factor: z.number().positive(),
      low_freq_factor: z.number().positive(),
      high_freq_factor: z.number().positive(),
      original_max_position_embeddings: size,
    })
    .refine((r) => r.high_freq_factor > r.low_freq_factor, {
      path: ['high_freq_factor'],
      message: 'expected more than low_freq_factor',
    }),
};

const llama = z.object({
  ...common,
  num_hidden_layers: layers,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size,
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.enum(['silu', 'swish']).default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  rope_theta: z.number().positive().default(10000),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  rope_interleaved: z.literal(false).optional(),
});

const opt = z.object({
  ...common,
  num_hidden_layers: layers,
  num_attention_heads: size,
  ffn_dim: size,
  max_position_embeddings: size.default(2048),
  do_layer_norm_before: z.boolean().default(true),
  word_embed_proj_dim: size.nullish(),
  activation_function: z.literal('relu').default('relu'),
  enable_bias: z.literal(true).default(true),
  layer_norm_elementwise_affine: z.literal(true).default(true),
  _remove_final_layer_norm: z.literal(false).default(false),
});

const bloom = z.object({
  ...common,
  hidden_size: size.optional(),
  n_embed: size.optional(),
  n_layer: layers.optional(),
  num_hidden_layers: layers.optional(),
  n_head: size.optional(),
  num_attention_heads: size.optional(),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  apply_residual_connection_post_layernorm: z.boolean().default(false),
  /** With tensor parallelism its products lack their biases, which no model was trained for. */
  slow_but_exact: z.literal(false).optional(),
  n_inner: size.nullish(),
});

const schemas = { llama, opt, bloom } as const;

function scalingOf(
  field: 'rope_parameters' | 'rope_scaling',
  { [field]: raw, max_position_embeddings: maxPositions }: z.infer<typeof llama>,
): RopeScaling | null {
  if (!raw) return null;
  const type = raw.rope_type ?? raw.type ?? 'default';
  // Hugging Face repeats the trained length here, also where the type does not use it.
  const given = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== null));
  const { original_max_position_embeddings: original, ...rest } = given;
  const checked = parse(ropeScalings[type], type !== 'llama3' && original === maxPositions ? rest : given, [
    field,
  ]);
  if (type === 'llama3') {
    const r = checked as z.infer<typeof ropeScalings.llama3>;
    return {
      type,
      factor: r.factor,
      lowFrequencyFactor: r.low_freq_factor,
      highFrequencyFactor: r.high_freq_factor,
      originalMaxPositions: r.original_max_position_embeddings,
    };
  }
  return type === 'default' ? null : { type, factor: (checked as { factor: number }).factor };
}

/**
 * @throws InvalidArgument naming every field that is missing, wrong, or not supported.
 */
export function parseConfig(json: unknown): ModelConfig {
  const raw = (json ?? {}) as Record<string, unknown>;
  const family = raw['model_type'];
  if (family !== 'llama' && family !== 'opt' && family !== 'bloom') {
    throw InvalidArgument.at('model_type', `expected llama, opt or bloom, got ${show(family)}`);
  }
  const schema = schemas[family];
  const violations = new Violations(decidingFields(unread(raw, family), raw, family));
  const parsed = schema.safeParse(raw);
  for (const issue of parsed.error?.issues ?? []) {
    const field = issue.path.join('.');
    violations.add(
      field,
      `${issue.message.replace(/^Invalid input: /, '')}, got ${show(raw[String(issue.path[0])])}`,
    );
  }
  violations.throwIfAny();
  const specialTokens = (c: z.infer<typeof schema>) => ({
    bosTokenId: c.bos_token_id,
    eosTokenIds: c.eos_token_id,
    padTokenId: c.pad_token_id,
  });
  const config = ((): ModelConfig => {
    if (family === 'llama') {
      const c = llama.parse(raw);
      const heads = c.num_attention_heads;
      if (c.rope_parameters && c.rope_scaling)
        throw InvalidArgument.at(
          'rope_scaling',
          'expected it or rope_parameters, got both; leave one of them',
        );
      const field = c.rope_parameters ? 'rope_parameters' : 'rope_scaling';
      return {
        family,
        vocabSize: c.vocab_size,
        hiddenSize: c.hidden_size,
        layers: c.num_hidden_layers,
        heads,
        kvHeads: c.num_key_value_heads ?? heads,
        headDim: c.head_dim ?? c.hidden_size / heads,
        intermediateSize: c.intermediate_size,
        maxPositions: c.max_position_embeddings,
        normEpsilon: c.rms_norm_eps,
        ropeTheta: c[field]?.rope_theta ?? c.rope_theta,
        ropeScaling: scalingOf(field, c),
        attentionBias: c.attention_bias,
        mlpBias: c.mlp_bias,
        tieEmbeddings: c.tie_word_embeddings ?? false,
        ...specialTokens(c),
      };
    }
    if (family === 'opt') {
      const c = opt.parse(raw);
      return {
        family,
        vocabSize: c.vocab_size,
        hiddenSize: c.hidden_size,
        layers: c.num_hidden_layers,
        heads: c.num_attention_heads,
        intermediateSize: c.ffn_dim,
        maxPositions: c.max_position_embeddings,
        normBefore: c.do_layer_norm_before,
        embeddingSize: c.word_embed_proj_dim ?? c.hidden_size,
        tieEmbeddings: c.tie_word_embeddings ?? true,
        ...specialTokens(c),
      };
    }
    const c = bloom.parse(raw);
    const required = (name: string, ...values: (number | undefined)[]): number => {
      const found = values.find((value) => value !== undefined);
      if (found === undefined) throw InvalidArgument.at(name, 'expected an integer, got nothing');
      return found;
    };
    for (const [name, alias] of [
      ['n_layer', 'num_hidden_layers'],
      ['n_head', 'num_attention_heads'],
    ] as const)
      if (c[name] !== undefined && c[alias] !== undefined && c[name] !== c[alias])
        throw InvalidArgument.at(
          alias,
          `expected ${name} (${c[name]}) under its other name, got ${c[alias]}`,
        );
    const hiddenSize = required('hidden_size', c.n_embed, c.hidden_size);
    if (typeof c.n_inner === 'number' && c.n_inner !== 4 * hiddenSize)
      throw InvalidArgument.at('n_inner', `expected 4 × hidden_size (${4 * hiddenSize}), got ${c.n_inner}`);
    return {
      family,
      vocabSize: c.vocab_size,
      hiddenSize,
      layers: required('n_layer', c.n_layer, c.num_hidden_layers),
      heads: required('n_head', c.n_head, c.num_attention_heads),
      normEpsilon: c.layer_norm_epsilon,
      residualAfterNorm: c.apply_residual_connection_post_layernorm,
      tieEmbeddings: c.tie_word_embeddings ?? true,
      ...specialTokens(c),
    };
  })();
  checkSizes(config);
  return config;
}

/** Fields that neither this family nor what saves checkpoints is known for. */
function unread(raw: Readonly<Record<string, unknown>>, family: Family): string[] {
  return Object.keys(raw).filter((key) => !Object.hasOwn(schemas[family].shape, key) && !inert.has(key));
}

/** Fields of a `config.json` that parses which nothing here reads, so that a user may hear of them. */
export function ignoredFields(json: unknown): string[] {
  const raw = json as Readonly<Record<string, unknown>>;
  return unread(raw, raw['model_type'] as Family).filter((key) => raw[key] !== null);
}

function checkSizes(config: ModelConfig): void {
  const beyond = config.eosTokenIds.find((id) => id >= config.vocabSize);
  if (beyond !== undefined)
    throw InvalidArgument.at(
      'eos_token_id',
      `expected ids below vocab_size (${config.vocabSize}), got ${beyond}`,
    );
  if (config.family === 'llama' && config.ropeScaling?.type === 'dynamic' && config.headDim <= 2)
    throw InvalidArgument.at('head_dim', `expected more than 2 for dynamic scaling, got ${config.headDim}`);
  const width = config.family === 'llama' ? config.headDim : config.hiddenSize / config.heads;
  if (!Number.isInteger(width)) {
    throw InvalidArgument.at(
      'hidden_size',
      `expected a multiple of the ${config.heads} heads, got ${config.hiddenSize}`,
    );
  }
  if (config.family === 'llama' && config.heads % config.kvHeads !== 0) {
    throw InvalidArgument.at(
      'num_key_value_heads',
      `expected a divisor of the ${config.heads} heads, got ${config.kvHeads}`,
    );
  }
  if (config.family === 'llama' && config.headDim % 2 !== 0) {
    throw InvalidArgument.at(
      'head_dim',
      `expected an even number for rotary positions, got ${config.headDim}`,
    );
  }
}

/** The `config.json` that transformers loads the model with. */
export function toHuggingFaceConfig(config: ModelConfig): Record<string, unknown> {
  const shared = {
    model_type: config.family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    tie_word_embeddings: config.tieEmbeddings,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds.length > 1 ? [...config.eosTokenIds] : (config.eosTokenIds[0] ?? null),
    pad_token_id: config.padTokenId,
  };
  if (config.family === 'llama') {
    const { ropeScaling: s } = config;
    return {
      architectures: ['LlamaForCausalLM'],
      ...shared,
      num_hidden_layers: config.layers,
      num_attention_heads: config.heads,
      num_key_value_heads: config.kvHeads,
      head_dim: config.headDim,
      intermediate_size: config.intermediateSize,
      max_position_embeddings: config.maxPositions,
      rms_norm_eps: config.normEpsilon,
      hidden_act: 'silu',
      attention_bias: config.attentionBias,
      mlp_bias: config.mlpBias,
      rope_theta: config.ropeTheta,
      ...(s === null
        ? {}
        : {
            rope_scaling: {
              rope_type: s.type,
              factor: s.factor,
              ...(s.type === 'llama3'
                ? {
                    low_freq_factor: s.lowFrequencyFactor,
                    high_freq_factor: s.highFrequencyFactor,
                    original_max_position_embeddings: s.originalMaxPositions,
                  }
                : {}),
            },
          }),
    };
  }
  if (config.family === 'opt') {
    return {
      architectures: ['OPTForCausalLM'],
      ...shared,
      num_hidden_layers: config.layers,
      num_attention_heads: config.heads,
      ffn_dim: config.intermediateSize,
      max_position_embeddings: config.maxPositions,
      do_layer_norm_before: config.normBefore,
      word_embed_proj_dim: config.embeddingSize,
      activation_function: 'relu',
      dropout: 0,
    };
  }
  return {
    architectures: ['BloomForCausalLM'],
    ...shared,
    n_layer: config.layers,
    n_head: config.heads,
    layer_norm_epsilon: config.normEpsilon,
    apply_residual_connection_post_layernorm: config.residualAfterNorm,
  };
}

/** The most tokens that a row may have: ALiBi (BLOOM) sets no end. */
export function longestRow(config: ModelConfig): number {
  return config.family === 'bloom' ? Number.POSITIVE_INFINITY : config.maxPositions;
}
