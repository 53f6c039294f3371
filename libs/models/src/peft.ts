/** Adapters in PEFT's files: adapter_config.json and adapter_model.safetensors. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgument, NotFound, parse, show, type Violation, Violations } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { sameShape } from '@emotune/graph';
import { objectIn, textAt } from '@emotune/text';
import { z } from 'zod';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import {
  blockLinearNames,
  embeddingModule,
  type Lora,
  type LoraModule,
  loraForm,
  loraModules,
  unmatched,
  untiesHead,
} from './lora.js';
import { frozenTensors, trainableParameters } from './model.js';
import { modelParameters } from './parameters.js';
import { SafetensorsFile, writeSafetensors } from './safetensors.js';

const prefix = 'base_model.model.';

export interface Adapter {
  readonly lora: Lora;
  /**
   * All that `trainableParameters` names: `<module>.lora_A.weight` and so on, modules to save under their own names; and
   * the table and head that the adapter was trained on, where its file holds them.
   */
  readonly tensors: Map<string, HostTensor>;
}

const text = z.string().min(1).max(1000);
const names = z.array(text);
const rank = z.number().int().min(1).max(65_536);
const alpha = z.number().positive();
const choice = z.union([text, names]);
const block = z.number().int().min(0);

/** The fields that are computed as PEFT computes them. */
const computed = z.object({
  peft_type: z.literal('LORA', 'expected LORA'),
  r: rank,
  lora_alpha: alpha.default(8),
  target_modules: z.union([text, names], 'expected a list of module names or a pattern'),
  exclude_modules: choice.nullish(),
  layers_to_transform: z.union([block, z.array(block)]).nullish(),
  layers_pattern: choice.nullish(),
  rank_pattern: z.record(text, rank).nullish(),
  alpha_pattern: z.record(text, alpha).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  bias: z.enum(['none', 'all', 'lora_only'], 'expected none, all or lora_only').nullish(),
  modules_to_save: names.nullish(),
  ensure_weight_tying: z.boolean().nullish(),
  /** Used in training only. */
  lora_dropout: z.number().min(0).lt(1).nullish(),
  /** How A and B began, where the base weights stayed as they are. */
  init_lora_weights: z
    .union(
      [z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva', 'mica'])],
      'expected a start that keeps the base weights (true, false, gaussian, orthogonal, eva or mica)',
    )
    .nullish(),
  task_type: z.literal('CAUSAL_LM', 'expected CAUSAL_LM').nullish(),
});

/** Fields that change nothing, whatever they hold. */
const inert = new Set([
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  'peft_version',
  'auto_mapping',
  'runtime_config',
  // Each belongs to a setting that is refused.
  'megatron_core',
  'qalora_group_size',
  'eva_config',
  'loftq_config',
]);

/** null, false, {} and []: how PEFT writes that something is off. */
function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Our names of settings as PEFT writes them. */
const peftFields: Readonly<Record<string, string>> = {
  targets: 'target_modules',
  exclude: 'exclude_modules',
  layersToTransform: 'layers_to_transform',
  rankPattern: 'rank_pattern',
  alphaPattern: 'alpha_pattern',
  modulesToSave: 'modules_to_save',
  ensureWeightTying: 'ensure_weight_tying',
};

/** A check of our settings, told in the fields of the file. @throws InvalidArgument */
function inPeftFields<T>(check: () => T): T {
  const violations = new Violations();
  const checked = violations.collect(check, (path) =>
    path.replace(/^\w+/, (name) => peftFields[name] ?? name),
  );
  violations.throwIfAny();
  return checked!;
}

/** @throws InvalidArgument naming every setting that is not supported. */
function parseAdapterConfig(json: Record<string, unknown>, config: ModelConfig): Lora {
  const refused = Object.entries(json).flatMap(([field, value]): Violation[] =>
    Object.hasOwn(computed.shape, field) || inert.has(field) || isOff(value)
      ? []
      : [{ field, description: `expected it off (anything else is not supported), got ${show(value)}` }],
  );
  const violations = new Violations(refused);
  const checked = violations.collect(() => parse(computed, json));
  violations.throwIfAny();
  return inPeftFields(() => loraOf(checked!, config));
}

/** PEFT passes over names and patterns that the model does not have, unless none is left; so does this. */
function loraOf(parsed: z.output<typeof computed>, config: ModelConfig): Lora {
  const { target_modules: targets, layers_pattern: pattern, layers_to_transform: layers } = parsed;
  const list = config.family === 'bloom' ? 'h' : 'layers';
  if (pattern && pattern.length > 0 && ![pattern].flat().includes(list))
    throw InvalidArgument.at('layers_pattern', `expected ${list}, got ${show(pattern)}`);
  const { exclude_modules: exclude, use_rslora: rslora, use_dora: dora, bias } = parsed;
  const given: Lora = {
    rank: parsed.r,
    alpha: parsed.lora_alpha,
    targets,
    rankStabilised: rslora === true,
    ...(exclude && exclude.length > 0 ? { exclude } : {}),
    ...(layers === null || layers === undefined || [layers].flat().length === 0
      ? {}
      : { layersToTransform: [layers].flat() }),
    ...(dora ? { dora } : {}),
    ...(bias && bias !== 'none' ? { bias } : {}),
    ...(parsed.ensure_weight_tying && config.tieEmbeddings ? { ensureWeightTying: true } : {}),
  };
  const patterns = {
    ...given,
    rankPattern: parsed.rank_pattern ?? {},
    alphaPattern: parsed.alpha_pattern ?? {},
    modulesToSave: parsed.modules_to_save ?? [],
  };
  const without = unmatched(config, patterns);
  const kept = (patterns: Readonly<Record<string, number>>, names: readonly string[]) => {
    const unused = new Set(names);
    return Object.fromEntries(Object.entries(patterns).filter(([source]) => !unused.has(source)));
  };
  const rankPattern = kept(patterns.rankPattern, without.rankPattern);
  const alphaPattern = kept(patterns.alphaPattern, without.alphaPattern);
  const modulesToSave = patterns.modulesToSave.filter((end) => !without.modulesToSave.includes(end));
  const unknown = new Set(without.targets);
  const known = typeof targets === 'string' ? targets : targets.filter((end) => !unknown.has(end));
  return {
    ...given,
    targets: known.length === 0 ? targets : known,
    ...(Object.keys(rankPattern).length > 0 ? { rankPattern } : {}),
    ...(Object.keys(alphaPattern).length > 0 ? { alphaPattern } : {}),
    ...(modulesToSave.length > 0 ? { modulesToSave } : {}),
  };
}

/** A stored name as ours; PEFT holds the bias of an adapted layer one module deeper. */
function parameterName(stored: string): string {
  const name = stored.startsWith(prefix) ? stored.slice(prefix.length) : stored;
  return name
    .replace(/\.base_layer\.(weight|bias)$/, '.$1')
    .replace(/(\.lora_magnitude_vector)\.weight$/, '$1');
}

function storedName(name: string, adapted: ReadonlySet<string>): string {
  const module = name.slice(0, name.lastIndexOf('.'));
  return `${prefix}${adapted.has(module) ? name.replace(/\.(weight|bias)$/, '.base_layer.$1') : name}`;
}

/** @throws NotFound; InvalidArgument naming every tensor that does not fit the base model or is not finite. */
export async function loadAdapter(dir: string, config: ModelConfig): Promise<Adapter> {
  const path = join(dir, 'adapter_config.json');
  const text = await textAt(path);
  if (text === undefined) throw new NotFound(`expected an adapter's ${path}, got none`);
  const lora = parseAdapterConfig(objectIn(path, text), config);
  const parameters = inPeftFields(() => trainableParameters(config, { name: 'lora', ...lora }));
  const wanted = new Map(parameters.map(({ name, shape }) => [name, shape]));
  // PEFT stores the table and the head too where either is adapted, and a head that follows the table.
  const optional = new Map(
    modelParameters({ ...config, tieEmbeddings: false })
      .filter(({ name }) => name === 'lm_head.weight' || name === `${embeddingModule(config)}.weight`)
      .map(({ name, shape }) => [name, shape]),
  );
  const file = await SafetensorsFile.open(join(dir, 'adapter_model.safetensors'));
  const tensors = new Map<string, HostTensor>();
  const violations = new Violations();
  try {
    for (const [stored, { shape }] of file.entries) {
      const name = parameterName(stored);
      const want = wanted.get(name) ?? optional.get(name);
      if (want === undefined) violations.add(stored, 'expected no such tensor for this base model');
      else if (!sameShape(shape, want)) violations.add(stored, `expected [${want}], got [${shape}]`);
      else {
        const { data } = await file.float32(stored);
        const bad = data.findIndex((v) => !Number.isFinite(v));
        if (bad >= 0) violations.add(stored, `expected finite numbers, got ${data[bad]} at element ${bad}`);
        tensors.set(name, float32(shape, data));
      }
    }
  } finally {
    await file.close();
  }
  const told = new Set(violations.list.map(({ field }) => parameterName(field)));
  for (const [name, shape] of wanted) {
    if (!tensors.has(name) && !told.has(name))
      violations.add(`${prefix}${name}`, `expected a tensor of [${shape}], got nothing`);
  }
  violations.throwIfAny();
  if (config.tieEmbeddings && !untiesHead(config, lora)) tensors.delete('lm_head.weight');
  return { lora, tensors };
}

/** Is the token table trained, and a tied head with it? */
function headFollows(config: ModelConfig, lora: Lora): boolean {
  const table = `${embeddingModule(config)}.weight`;
  return (
    config.tieEmbeddings &&
    lora.ensureWeightTying === true &&
    trainableParameters(config, { name: 'lora', ...lora }).some(({ name }) => name === table)
  );
}

/** Writes an adapter that PEFT loads. */
export async function saveAdapter(
  dir: string,
  { lora, tensors }: Adapter,
  config: ModelConfig,
  baseModel: string,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const modules = new Set(loraModules(config, lora).map(({ module }) => module));
  const { targets = [], modulesToSave = [], exclude = [], layersToTransform } = lora;
  const json = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    use_rslora: lora.rankStabilised ?? false,
    use_dora: lora.dora ?? false,
    target_modules:
      typeof targets === 'string'
        ? targets
        : [...(targets.length === 0 ? blockLinearNames(config) : targets)].sort(),
    bias: lora.bias ?? 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    rank_pattern: lora.rankPattern ?? {},
    alpha_pattern: lora.alphaPattern ?? {},
    modules_to_save: modulesToSave.length > 0 ? modulesToSave : null,
    ...(exclude.length > 0 ? { exclude_modules: exclude } : {}),
    ...(layersToTransform === undefined ? {} : { layers_to_transform: layersToTransform }),
    ...(lora.ensureWeightTying ? { ensure_weight_tying: true } : {}),
  };
  const stored = new Map(
    [...tensors].map(([name, t]) => [
      storedName(name, modules),
      { shape: t.shape, data: t.data as Float32Array },
    ]),
  );
  if (headFollows(config, lora))
    stored.set(`${prefix}lm_head.weight`, stored.get(`${prefix}${embeddingModule(config)}.weight`)!);
  await writeSafetensors(join(dir, 'adapter_model.safetensors'), stored);
  await writeFile(join(dir, 'adapter_config.json'), `${JSON.stringify(json, null, 2)}\n`);
}

/** What graphs of the adapted model read. */
export function adaptedTensors(model: Model, { lora, tensors }: Adapter): Map<string, HostTensor> {
  const { config } = model;
  const method = { name: 'lora' as const, ...lora };
  const trained = new Set(trainableParameters(config, method).map(({ name }) => name));
  // The table and head that an adapter brings without having trained them are its base's.
  const base = [...tensors].filter(([name]) => !trained.has(name));
  return new Map([
    ...frozenTensors({ config, tensors: new Map([...model.tensors, ...base]) }, method),
    ...tensors,
  ]);
}

/** W + s·B·A. */
function updated(
  { into, out, rank, scaling }: LoraModule,
  weight: Float32Array,
  tensor: (name: string) => Float32Array,
): Float32Array {
  const [a, up] = [tensor('lora_A.weight'), tensor('lora_B.weight')];
  const data = Float32Array.from(weight);
  const row = new Float64Array(into);
  for (let o = 0; o < out; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = up[o * rank + r];
      for (let i = 0; i < into; i++) row[i] += factor * a[r * into + i];
    }
    for (let i = 0; i < into; i++) data[o * into + i] += scaling * row[i];
  }
  return data;
}

/**
 * The model that answers as the base with the adapter: adapted weights in place of the base's, modules to save too. A
 * tied head that the adapter trains alone becomes a weight of its own, and the config says so.
 */
export function mergeAdapter({ config, tensors }: Model, { lora, tensors: trained }: Adapter): Model {
  const untied = untiesHead(config, lora);
  const merged = new Map(tensors);
  const table = `${embeddingModule(config)}.weight`;
  if (untied) merged.set('lm_head.weight', tensors.get(table)!);
  for (const name of tensors.keys()) merged.set(name, trained.get(name) ?? merged.get(name)!);
  if (trained.has('lm_head.weight')) merged.set('lm_head.weight', trained.get('lm_head.weight')!);
  const form = loraForm(lora);
  for (const module of loraModules(config, lora)) {
    const name = `${module.module}.weight`;
    const { shape, data } = merged.get(name)!;
    const tensor = (suffix: string) => trained.get(`${module.module}.${suffix}`)!.data as Float32Array;
    const weight = updated(module, data as Float32Array, tensor);
    merged.set(name, float32(shape, form.merge(module, weight, tensor)));
  }
  return { config: untied ? { ...config, tieEmbeddings: false } : config, tensors: merged };
}
