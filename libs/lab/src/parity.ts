/**
 * Compares a model of ours with what Hugging Face computed: logits, loss and every gradient of each case in a fixture
 * folder (see CONTRIBUTING, "Parity"). A folder holds a checkpoint or a PEFT adapter beside its base model, and
 * `case-*.safetensors` with inputs and results.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { exists, InvalidArgument, NotFound, parse } from '@emotune/base';
import {
  bool,
  createExecutor,
  type Device,
  type Executor,
  float32,
  type HostTensor,
  int64,
  type Program,
} from '@emotune/engine';
import {
  adaptedTensors,
  GraphWeights,
  hiddenStates,
  loadAdapter,
  loadModel,
  logitsOf,
  type Method,
  type Model,
  type ModelConfig,
  mergeAdapter,
  modelInputs,
  SafetensorsFile,
  slotNames,
  trainableParameters,
  trainGraph,
} from '@emotune/models';
import { Sessions, trainSpec, Update } from '@emotune/training';
import { z } from 'zod';
import { goldenReport } from './parity-golden.js';

/** Logits absolute where attended; loss absolute; each gradient relative to its largest entry. As the fixtures' README names them. */
export const tolerance = { logits: 1e-4, loss: 1e-5, gradient: 1e-3, adamw: 1e-4, merged: 1e-5 };

export interface CaseResult {
  readonly name: string;
  /** Largest absolute deviations. */
  readonly logits: number;
  readonly loss: number;
  /** Largest deviation over the largest entry, by parameter, worst first. */
  readonly gradients: readonly {
    readonly name: string;
    readonly absolute: number;
    readonly relative: number;
  }[];
  /** Largest deviation of the losses over five AdamW steps, where the fixture has them. */
  readonly adamw?: number;
  readonly ok: boolean;
}

interface Folder {
  readonly config: ModelConfig;
  readonly method: Method;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Name of a gradient in the fixture → our parameter. */
  readonly parameterOf: (name: string) => string;
  /** The base with the adapter merged into it. */
  readonly merged?: Model;
}

/** A parameter's name in PEFT's memory → in our graphs. */
function trainedName(name: string): string {
  return name
    .replace(/^base_model\.model\./, '')
    .replace(/\.modules_to_save\.default\./, '.')
    .replace(/\.default(?=\.|$)/, '')
    .replace('.base_layer.', '.')
    .replace(/\.lora_magnitude_vector\.weight$/, '.lora_magnitude_vector');
}

/** The base model's folder: where the adapter says, or beside the adapter under that name or the part before `__`. */
async function baseFolder(dir: string): Promise<string> {
  const named = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8')).base_model_name_or_path;
  const beside = dirname(resolve(dir));
  const folders = [
    ...(typeof named === 'string' ? [resolve(dir, named), join(beside, basename(named))] : []),
    join(beside, basename(resolve(dir)).split('__')[0]),
  ];
  for (const folder of folders) if (await exists(join(folder, 'config.json'))) return folder;
  throw new NotFound(`expected the base model's config.json in one of ${folders.join(', ')}`);
}

async function load(dir: string): Promise<Folder> {
  if (!(await exists(join(dir, 'adapter_config.json')))) {
    const { config, tensors } = await loadModel(dir);
    return { config, method: { name: 'full' }, tensors, parameterOf: (name) => name };
  }
  const model = await loadModel(await baseFolder(dir));
  const adapter = await loadAdapter(dir, model.config);
  return {
    config: model.config,
    method: { name: 'lora', ...adapter.lora },
    tensors: adaptedTensors(model, adapter),
    parameterOf: trainedName,
    merged: mergeAdapter(model, adapter),
  };
}

/** Largest deviation of the merged weights from those that PEFT wrote, where it did. */
async function mergedDeviation({ merged }: Folder, dir: string): Promise<number | undefined> {
  const path = join(dir, 'merged.safetensors');
  if (merged === undefined || !(await exists(path))) return undefined;
  const file = await SafetensorsFile.open(path);
  let worst = 0;
  try {
    for (const name of file.entries.keys()) {
      // A tied head may be stored beside the table that it repeats.
      if (name === 'lm_head.weight' && merged.config.tieEmbeddings) continue;
      const ours = merged.tensors.get(name)?.data as Float32Array | undefined;
      const { data } = await file.float32(name);
      if (ours?.length !== data.length) return Number.POSITIVE_INFINITY;
      for (let i = 0; i < data.length; i++) worst = Math.max(worst, Math.abs(data[i] - ours[i]));
    }
  } finally {
    await file.close();
  }
  return worst;
}

/** Positions that Hugging Face gives when none are passed: LLaMA counts every token, the others only attended ones. */
function positionsOf(
  family: ModelConfig['family'],
  attended: Uint8Array,
  batch: number,
  sequence: number,
): number[] {
  return Array.from({ length: batch }, (_, row) => {
    let seen = 0;
    return Array.from({ length: sequence }, (_, t) => {
      if (family === 'llama') return t;
      const here = attended[row * sequence + t];
      seen += here;
      // OPT puts padding at position −1, BLOOM at 0.
      return here ? seen - 1 : family === 'opt' ? -1 : 0;
    });
  }).flat();
}

const adamwSteps = z.object({
  lr: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  clip: z.number(),
  losses: z.array(z.number()),
});

/** Trains on the case and compares the loss before each step with PyTorch's. */
async function adamwDeviation(
  executor: Executor,
  { config, method }: Folder,
  step: Program,
  feeds: Readonly<Record<string, HostTensor>>,
  dir: string,
): Promise<number | undefined> {
  const path = join(dir, 'meta.json');
  if (!(await exists(path))) return undefined;
  const meta = JSON.parse(await readFile(path, 'utf8'));
  const parsed = adamwSteps.safeParse(method.name === 'full' ? meta.full_adamw_right : meta.adamw_right);
  if (!parsed.success) return undefined;
  const { lr, betas, eps, weight_decay: weightDecay, clip, losses } = parsed.data;
  const trainable = trainableParameters(config, method);
  const names = trainable.map(({ name }) => name);
  const sessions = new Sessions(executor);
  const optimizer = parse(trainSpec.shape.optimizer, {
    name: 'adamw',
    learningRate: lr,
    beta1: betas[0],
    beta2: betas[1],
    epsilon: eps,
    weightDecay,
    clipNorm: clip,
  });
  const update = new Update(sessions, trainable, { optimizer }, { decayVectors: true });
  const before = new Map<string, HostTensor>();
  for (const name of names) before.set(name, await executor.get(name));
  await update.begin(undefined);
  const weights = Object.keys(step.inputs).filter((name) => !(name in feeds));
  let worst = 0;
  for (const [t, want] of losses.entries()) {
    const { loss } = await executor.run(step, {
      feeds,
      from: Object.fromEntries(weights.map((name) => [name, name])),
      to: Object.fromEntries(names.map((name) => [slotNames.gradient(name), slotNames.gradient(name)])),
      fetch: ['loss'],
    });
    worst = Math.max(worst, Math.abs((loss.data[0] as number) - want));
    await update.apply({ update: t + 1, rate: lr, norm: await update.norm(), scale: 1 });
  }
  // The next case needs them as they were.
  for (const [name, tensor] of before) await executor.put(name, tensor, { move: true });
  await sessions.release();
  return worst;
}

async function runCase(executor: Executor, folder: Folder, path: string): Promise<CaseResult> {
  const { config, method, parameterOf } = folder;
  const name = basename(path, '.safetensors');
  const file = await SafetensorsFile.open(path);
  try {
    const ids = await file.int64('input_ids');
    const [B, T] = ids.shape;
    const attended = Uint8Array.from((await file.int64('attention_mask')).data, Number);
    const labels = Array.from((await file.int64('labels')).data, Number);
    const mask = new Uint8Array(B * T * T);
    for (let row = 0; row < B; row++) {
      for (let q = 0; q < T; q++)
        for (let k = 0; k <= q; k++) mask[(row * T + q) * T + k] = attended[row * T + k];
    }
    const inputs = {
      input_ids: { dtype: 'int64' as const, shape: ids.shape, data: ids.data },
      positions: int64([B, T], positionsOf(config.family, attended, B, T)),
      mask: bool([B, 1, T, T], mask),
    };
    // The label of the next token is asked of the present one.
    const answers = labels.flatMap((label, i) =>
      i % T > 0 && label >= 0 ? [{ index: i - 1, target: label }] : [],
    );
    const n = answers.length;
    const weights = new GraphWeights(config, method);
    const logitsProgram = await executor.compile({
      logits: logitsOf(weights, hiddenStates(config, weights, modelInputs(B, T))),
    });
    const stepProgram = await executor.compile(
      trainGraph(config, method, { batch: B, sequence: T, answers: n }),
    );
    const slots = (names: readonly string[]) =>
      Object.fromEntries(names.filter((name) => !(name in inputs)).map((name) => [name, name]));
    const { logits } = await executor.run(logitsProgram, {
      feeds: inputs,
      from: slots([...weights.values.keys()]),
      fetch: ['logits'],
    });
    const feeds = {
      ...inputs,
      answer_index: int64(
        [n],
        answers.map((a) => a.index),
      ),
      answer_target: int64(
        [n],
        answers.map((a) => a.target),
      ),
      answer_weight: float32([n], new Float32Array(n).fill(1 / n)),
    };
    const step = await executor.run(stepProgram, {
      feeds,
      from: slots(Object.keys(stepProgram.inputs).filter((name) => !name.startsWith('answer_'))),
      fetch: Object.keys(stepProgram.outputs).filter((name) => name !== 'nll'),
    });
    await executor.release(logitsProgram);
    const adamw = name.endsWith('right')
      ? await adamwDeviation(executor, folder, stepProgram, feeds, dirname(path))
      : undefined;
    await executor.release(stepProgram);

    const want = await file.float32('logits');
    let worst = 0;
    for (let i = 0; i < want.data.length; i++) {
      if (attended[Math.floor(i / config.vocabSize)])
        worst = Math.max(worst, Math.abs(want.data[i] - (logits.data as Float32Array)[i]));
    }
    const loss = Math.abs((await file.float32('loss')).data[0] - (step['loss'].data as Float32Array)[0]);
    const gradients = [];
    for (const name of file.entries.keys()) {
      if (!name.startsWith('grad.')) continue;
      const reference = (await file.float32(name)).data;
      const ours = step[slotNames.gradient(parameterOf(name.slice('grad.'.length)))]?.data as
        | Float32Array
        | undefined;
      let absolute = ours?.length === reference.length ? 0 : Number.POSITIVE_INFINITY;
      let largest = 0;
      reference.forEach((value, i) => {
        largest = Math.max(largest, Math.abs(value));
        if (ours) absolute = Math.max(absolute, Math.abs(value - ours[i]));
      });
      // A gradient that is 0 but for rounding (a key's bias) has no scale of its own.
      gradients.push({
        name: name.slice('grad.'.length),
        absolute,
        relative: largest < 1e-6 ? (absolute < 1e-6 ? 0 : absolute) : absolute / largest,
      });
    }
    gradients.sort((p, q) => q.relative - p.relative);
    const ok =
      worst <= tolerance.logits &&
      loss <= tolerance.loss &&
      gradients.length > 0 &&
      gradients.every(({ relative }) => relative <= tolerance.gradient) &&
      (adamw ?? 0) <= tolerance.adamw;
    return { name, logits: worst, loss, gradients, ...(adamw === undefined ? {} : { adamw }), ok };
  } finally {
    await file.close();
  }
}

const number = (x: number) => x.toExponential(1).padStart(8);

export interface FolderReport {
  readonly dir: string;
  readonly ok: boolean;
  readonly cases: readonly CaseResult[];
  /** Largest deviation of the merged weights, where the fixture has them. */
  readonly merged?: number;
  /** Why the folder could not be compared; empty when it was. */
  readonly failure: string;
  /** Why there is nothing to compare in it; empty when there is. */
  readonly skipped: string;
}

/** A folder without a model and without cases is no fixture of this kind. */
async function holdsModel(dir: string): Promise<boolean> {
  const names = await readdir(dir);
  return names.some((name) => /^(adapter_)?config\.json$|^case-.*\.safetensors$/.test(name));
}

export async function parityReport(
  dir: string,
  env: Readonly<Record<string, string | undefined>>,
  device: Device = 'cpu',
): Promise<FolderReport> {
  const nothing = { dir, ok: true, cases: [], failure: '', skipped: '' };
  try {
    if (!(await stat(dir)).isDirectory()) return { ...nothing, skipped: 'no folder' };
    const golden = await goldenReport(dir, env);
    if (golden !== undefined) return golden;
    if (!(await holdsModel(dir)))
      return { ...nothing, skipped: 'no config.json, adapter_config.json or case-*.safetensors' };
    return { ...nothing, ...(await runParity(dir, device)) };
  } catch (error) {
    return { ...nothing, ok: false, failure: (error as Error).message };
  }
}

export const parityHead = `  ${'case'.padEnd(42)} ${['logits', 'loss', 'gradient', 'relative', 'adamw'].map((h) => h.padStart(8)).join(' ')}`;

/** One line for each case. */
export function parityLines({ dir, cases, merged, failure, skipped }: FolderReport): string[] {
  const folder = basename(dir).padEnd(42);
  if (failure !== '') return [`✗ ${folder} ${failure}`];
  if (skipped !== '') return [`– ${folder} skipped: ${skipped}`];
  const lines = cases.map(({ name, logits, loss, gradients, adamw, ok }) => {
    const label = `${basename(dir)}/${name.replace('case-', '')}`.padEnd(42);
    const absolute = Math.max(0, ...gradients.map((g) => g.absolute));
    const [worst] = gradients;
    return `${ok ? '✓' : '✗'} ${label} ${number(logits)} ${number(loss)} ${number(absolute)} ${number(worst?.relative ?? 0)} ${adamw === undefined ? ''.padStart(8) : number(adamw)} ${worst?.name ?? 'no gradients'}`;
  });
  if (merged === undefined) return lines;
  const label = `${basename(dir)}/merged`.padEnd(42);
  return [...lines, `${merged <= tolerance.merged ? '✓' : '✗'} ${label} ${number(merged)} (weights)`];
}

/** Runs every case of a folder. @throws InvalidArgument naming what the folder needs that is not supported. */
export async function runParity(
  dir: string,
  device: Device = 'cpu',
): Promise<Pick<FolderReport, 'ok' | 'cases'> & { merged?: number }> {
  const folder = await load(dir);
  const { executor } = await createExecutor({ device });
  try {
    for (const [name, tensor] of folder.tensors) await executor.put(name, tensor);
    const cases = (await readdir(dir)).filter((name) => /^case-.*\.safetensors$/.test(name)).sort();
    if (cases.length === 0) throw InvalidArgument.at(dir, 'expected case-*.safetensors, got none');
    const results: CaseResult[] = [];
    for (const name of cases) results.push(await runCase(executor, folder, join(dir, name)));
    const merged = await mergedDeviation(folder, dir);
    const ok = results.every((result) => result.ok) && (merged ?? 0) <= tolerance.merged;
    return { ok, cases: results, ...(merged === undefined ? {} : { merged }) };
  } finally {
    await executor.close();
  }
}
