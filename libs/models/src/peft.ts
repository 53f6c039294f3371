/** LoRA adapters in PEFT's files: adapter_config.json and adapter_model.safetensors. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgument, NotFound, show, type Violation } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { sameShape } from '@emotune/graph';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import { type Lora, loraModules, loraScaling } from './lora.js';
import { trainableParameters } from './model.js';
import { SafetensorsFile, writeSafetensors } from './safetensors.js';

const prefix = 'base_model.model.';

export interface Adapter {
  readonly lora: Lora;
  /** `<module>.lora_A.weight` and `<module>.lora_B.weight`. */
  readonly tensors: Map<string, HostTensor>;
}

/** Settings that we do not compute, each with the values that mean "off". */
const unsupported: Record<string, readonly unknown[]> = {
  use_dora: [false],
  bias: ['none'],
  fan_in_fan_out: [false],
  modules_to_save: [null],
  rank_pattern: ['{}'],
  alpha_pattern: ['{}'],
  layers_to_transform: [null],
  lora_bias: [false],
  trainable_token_indices: [null],
  target_parameters: [null],
  layer_replication: [null],
};

/** @throws InvalidArgument naming every setting that is not supported. */
function parseAdapterConfig(json: Record<string, unknown>): Lora {
  const violations: Violation[] = Object.entries(unsupported).flatMap(([field, off]) => {
    const value = json[field] ?? off[0];
    const plain = typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
    return off.includes(plain)
      ? []
      : [
          {
            field,
            description: `expected ${show(off[0])} (anything else is not supported yet), got ${show(value)}`,
          },
        ];
  });
  if (json['peft_type'] !== 'LORA')
    violations.push({ field: 'peft_type', description: `expected LORA, got ${show(json['peft_type'])}` });
  const rank = json['r'];
  if (!Number.isInteger(rank) || (rank as number) < 1)
    violations.push({ field: 'r', description: `expected an integer ≥ 1, got ${show(rank)}` });
  const targets = json['target_modules'];
  if (!Array.isArray(targets))
    violations.push({
      field: 'target_modules',
      description: `expected a list of module names, got ${show(targets)}`,
    });
  if (violations.length > 0) throw new InvalidArgument(violations);
  return {
    rank: rank as number,
    alpha: Number(json['lora_alpha'] ?? 8),
    targets: targets as string[],
    rankStabilised: json['use_rslora'] === true,
  };
}

/** @throws NotFound; InvalidArgument naming every tensor that does not fit the base model. */
export async function loadAdapter(dir: string, config: ModelConfig): Promise<Adapter> {
  const text = await readFile(join(dir, 'adapter_config.json'), 'utf8').catch((cause) => {
    throw new NotFound(`expected an adapter's ${join(dir, 'adapter_config.json')} (${cause.code})`, {
      cause,
    });
  });
  const lora = parseAdapterConfig(JSON.parse(text));
  const wanted = new Map(
    trainableParameters(config, { name: 'lora', ...lora }).map(({ name, shape }) => [name, shape]),
  );
  const file = await SafetensorsFile.open(join(dir, 'adapter_model.safetensors'));
  const tensors = new Map<string, HostTensor>();
  const violations: Violation[] = [];
  try {
    for (const [stored, { shape }] of file.entries) {
      const name = stored.startsWith(prefix) ? stored.slice(prefix.length) : stored;
      const want = wanted.get(name);
      if (want === undefined)
        violations.push({ field: stored, description: 'expected no such tensor for this base model' });
      else if (!sameShape(shape, want))
        violations.push({ field: stored, description: `expected [${want}], got [${shape}]` });
      else tensors.set(name, float32(shape, (await file.float32(stored)).data));
    }
  } finally {
    await file.close();
  }
  for (const [name, shape] of wanted) {
    if (!tensors.has(name))
      violations.push({
        field: `${prefix}${name}`,
        description: `expected a tensor of [${shape}], got nothing`,
      });
  }
  if (violations.length > 0) throw new InvalidArgument(violations);
  return { lora, tensors };
}

/** Writes an adapter that PEFT loads. */
export async function saveAdapter(
  dir: string,
  { lora, tensors }: Adapter,
  config: ModelConfig,
  baseModel: string,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const targets = new Set(
    loraModules(config, lora).map(({ module }) => module.slice(module.lastIndexOf('.') + 1)),
  );
  const json = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    use_rslora: lora.rankStabilised ?? false,
    use_dora: false,
    target_modules: [...targets].sort(),
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    rank_pattern: {},
    alpha_pattern: {},
    modules_to_save: null,
  };
  await writeSafetensors(
    join(dir, 'adapter_model.safetensors'),
    new Map(
      [...tensors].map(([name, t]) => [`${prefix}${name}`, { shape: t.shape, data: t.data as Float32Array }]),
    ),
  );
  await writeFile(join(dir, 'adapter_config.json'), `${JSON.stringify(json, null, 2)}\n`);
}

/** The base model with the adapter's update added to its weights: W + s·B·A. */
export function mergeAdapter({ config, tensors }: Model, adapter: Adapter): Model {
  const merged = new Map(tensors);
  const s = loraScaling(adapter.lora);
  for (const { module, into, out } of loraModules(config, adapter.lora)) {
    const a = adapter.tensors.get(`${module}.lora_A.weight`)!.data as Float32Array;
    const bData = adapter.tensors.get(`${module}.lora_B.weight`)!.data as Float32Array;
    const base = tensors.get(`${module}.weight`)!;
    const data = Float32Array.from(base.data as Float32Array);
    const { rank } = adapter.lora;
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < into; i++) {
        let sum = 0;
        for (let r = 0; r < rank; r++) sum += bData[o * rank + r] * a[r * into + i];
        data[o * into + i] += s * sum;
      }
    }
    merged.set(`${module}.weight`, float32(base.shape, data));
  }
  return { config, tensors: merged };
}
