/** Greedy continuations of random prompts, against the products with the model's weights that they cannot do without. */
import { basename } from 'node:path';
import { InvalidArgument, Rng } from '@emotune/base';
import { float32, OnnxExecutor } from '@emotune/engine';
import { build as b, sizeOf, type Value } from '@emotune/graph';
import { Generator, type InferenceCompute, longestRow, type Model } from '@emotune/models';
import { modelOfShape } from './model-folder.js';
import { medianSeconds } from './timing.js';

export interface GenerateWorkload {
  /** Checkpoint folder, or one with config.json alone. */
  readonly folder: string;
  /** Prompts. */
  readonly batch: number;
  /** Tokens of each. */
  readonly prompt: number;
  /** Written after each. */
  readonly tokens: number;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  readonly signal: AbortSignal;
}

export interface GenerateFigures {
  readonly model: string;
  readonly parameters: number;
  readonly batch: number;
  readonly prompt: number;
  readonly tokens: number;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  readonly examplesPerSecond: number;
  readonly tokensPerSecond: number;
  /** The speed of the products alone: with the prompts' rows, then with one row of each prompt for every further token. */
  readonly productExamplesPerSecond: number;
}

/** x·Wᵀ of so many rows with every weight matrix of the blocks, and of `asked` rows with the head; one number a matrix. */
function productGraph(model: Model, rows: number, asked: number): Record<string, Value> {
  const { tieEmbeddings } = model.config;
  const fed = new Map<string, Value>();
  const products = [...model.tensors].flatMap(([name, { shape }]): Value[] => {
    const table = /(embed_tokens|word_embeddings|embed_positions)\.weight$/.test(name);
    const head = name === 'lm_head.weight' || (tieEmbeddings && table && !name.includes('positions'));
    if (shape.length !== 2 || (table && !head)) return [];
    const at = [head ? asked : rows, shape[1]];
    const x = fed.get(String(at)) ?? b.input(`x.${at}`, 'float32', at);
    fed.set(String(at), x);
    const y = b.matmul(x, b.input(name, 'float32', shape), { transposeY: true });
    return [b.reshape(b.slice(b.slice(y, 0, 0, 1), 1, 0, 1), [1])];
  });
  return { firsts: b.concat(products, 0) };
}

/** The time of the products of so many rows, so often. */
async function secondsOfProducts(
  model: Model,
  passes: readonly (readonly [rows: number, times: number])[],
  { batch, threads, signal }: GenerateWorkload,
): Promise<number> {
  const executor = OnnxExecutor.create({ threads });
  try {
    for (const [name, tensor] of model.tensors) await executor.put(name, tensor);
    let seconds = 0;
    for (const [rows, times] of passes) {
      const program = await executor.compile(productGraph(model, rows, batch));
      const names = Object.keys(program.inputs);
      for (const name of names.filter((given) => !model.tensors.has(given))) {
        const { shape } = program.inputs[name];
        await executor.put(name, float32(shape, new Float32Array(shape[0] * shape[1]).fill(0.5)));
      }
      const from = Object.fromEntries(names.map((name) => [name, name]));
      seconds +=
        times *
        (await medianSeconds(() => executor.run(program, { feeds: {}, from, fetch: ['firsts'] }), signal));
      await executor.release(program);
    }
    return seconds;
  } finally {
    await executor.close();
  }
}

/** @throws InvalidArgument when the model has no room for so many tokens; as `modelOfShape`. */
export async function benchGenerate(workload: GenerateWorkload): Promise<GenerateFigures> {
  const { folder, batch, prompt, tokens, baseCompute, threads, signal } = workload;
  const model = await modelOfShape(folder);
  const { config } = model;
  if (prompt + tokens > longestRow(config))
    throw InvalidArgument.at('--prompt', `expected at most ${longestRow(config) - tokens}, got ${prompt}`);
  const rng = Rng.of(1, 'bench generate');
  const prompts = Array.from({ length: batch }, () =>
    Int32Array.from({ length: prompt }, () => rng.int(config.vocabSize)),
  );
  const generator = await Generator.create(model, OnnxExecutor.create, { threads, baseCompute });
  let seconds: number;
  try {
    const write = () => generator.generate(prompts, { maxNewTokens: tokens, stopTokens: [], signal });
    seconds = await medianSeconds(write, signal);
  } finally {
    await generator.close();
  }
  const passes = [
    [batch * prompt, 1],
    [batch, tokens - 1],
  ] as const;
  return {
    model: basename(folder),
    parameters: [...model.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    batch,
    prompt,
    tokens,
    baseCompute,
    threads,
    examplesPerSecond: batch / seconds,
    tokensPerSecond: (batch * tokens) / seconds,
    productExamplesPerSecond: batch / (await secondsOfProducts(model, passes, workload)),
  };
}
