import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OnnxExecutor } from '@emotune/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel, type Model } from './checkpoint.js';
import { parseConfig } from './config.js';
import { Generator } from './generator.js';
import { initialTensors } from './model.js';
import { exportOnnx } from './onnx-export.js';
import { SafetensorsFile } from './safetensors.js';

/** The runtime itself, as anyone has it, with its default options. */
const ort = createRequire(new URL('../../engine/src/onnx/worker.ts', import.meta.url))('onnxruntime-node');

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'emotune-onnx-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Tokens of rows, with what a row attends to: [B][T]. */
interface Rows {
  readonly ids: readonly (readonly number[])[];
  readonly attended: readonly (readonly number[])[];
  readonly positions: readonly (readonly number[])[];
}

/** Runs an exported file step by step, feeding back what it leaves. */
class Exported {
  private past: Record<string, unknown> = {};
  private length = 0;

  private constructor(
    readonly session: {
      inputNames: string[];
      outputNames: string[];
      run(feeds: object): Promise<Record<string, Tensor>>;
    },
    private readonly config: Model['config'],
  ) {}

  static async open(path: string, config: Model['config']): Promise<Exported> {
    return new Exported(await ort.InferenceSession.create(path, { logSeverityLevel: 3 }), config);
  }

  /** Logits [B, T, V] of the next columns up to `to`. */
  async next(rows: Rows, to: number): Promise<Tensor> {
    const B = rows.ids.length;
    const { config } = this;
    const heads = config.family === 'llama' ? config.kvHeads : config.heads;
    const width = config.family === 'llama' ? config.headDim : config.hiddenSize / config.heads;
    const int64 = (values: readonly (readonly number[])[]) =>
      new ort.Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [B, values[0].length]);
    const part = (values: readonly (readonly number[])[]) => values.map((row) => row.slice(this.length, to));
    const empty = () => new ort.Tensor('float32', new Float32Array(), [B, heads, 0, width]);
    const outputs = await this.session.run({
      input_ids: int64(part(rows.ids)),
      attention_mask: int64(rows.attended.map((row) => row.slice(0, to))),
      position_ids: int64(part(rows.positions)),
      ...Object.fromEntries(
        this.session.inputNames
          .filter((name) => name.startsWith('past'))
          .map((name) => [name, this.past[name] ?? empty()]),
      ),
    });
    for (const [name, tensor] of Object.entries(outputs))
      this.past[name.replace('present', 'past_key_values')] = tensor;
    this.length = to;
    return outputs['logits'];
  }
}

const positionsIn = (attended: readonly number[]) => {
  let seen = -1;
  return attended.map((here) => (here ? ++seen : 0));
};

const ids = { vocab_size: 20, hidden_size: 24 };
const models = {
  'llama with grouped heads, biases and dynamic scaling': {
    model_type: 'llama',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    intermediate_size: 40,
    attention_bias: true,
    max_position_embeddings: 6,
    rope_scaling: { rope_type: 'dynamic', factor: 2 },
  },
  'opt, normalised after, embeddings projected': {
    model_type: 'opt',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    ffn_dim: 40,
    do_layer_norm_before: false,
    word_embed_proj_dim: 8,
  },
  bloom: { model_type: 'bloom', ...ids, n_layer: 2, n_head: 3 },
};

describe.each(Object.entries(models))('%s', (_, json) => {
  const config = parseConfig(json);
  const model = { config, tensors: initialTensors(config, 7) };
  for (const { shape, data } of model.tensors.values())
    if (shape.length === 2)
      (data as Float32Array).forEach((v, i, all) => {
        all[i] = 10 * v;
      });

  it('writes what our generator writes, from rows of unequal length', async () => {
    await exportOnnx(dir, model);
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'model.onnx']);
    const exported = await Exported.open(join(dir, 'model.onnx'), config);
    const layers = ['0.key', '0.value', '1.key', '1.value'];
    expect(exported.session.inputNames).toEqual([
      'input_ids',
      'attention_mask',
      'position_ids',
      ...layers.map((name) => `past_key_values.${name}`),
    ]);
    expect(exported.session.outputNames).toEqual(['logits', ...layers.map((name) => `present.${name}`)]);
    const prompts = [[5, 6, 7, 8, 9], [4], [11, 2, 3]];
    const generator = await Generator.create(model, OnnxExecutor.create);
    const written = await generator
      .generate(
        prompts.map((prompt) => Int32Array.from(prompt)),
        { maxNewTokens: 8, stopTokens: [] },
      )
      .finally(() => generator.close());
    // Padded on the left, as generation by Hugging Face is.
    const rows = prompts.map((prompt) => [...new Array(5 - prompt.length).fill(0), ...prompt]);
    const attended = prompts.map((prompt) => [
      ...rows[0].map((_, t) => (t >= 5 - prompt.length ? 1 : 0)),
      ...new Array(8).fill(1),
    ]);
    const positions = attended.map(positionsIn);
    for (let step = 0; step < 8; step++) {
      const { data, dims } = await exported.next({ ids: rows, attended, positions }, 5 + step);
      const [, T, V] = dims;
      rows.forEach((row, r) => {
        const last = data.subarray((r * T + T - 1) * V, (r + 1) * T * V);
        row.push(last.indexOf(Math.max(...last)));
      });
    }
    expect(rows.map((row) => row.slice(5))).toEqual(written.map(({ tokens }) => [...tokens]));
  });

  it('keeps weights beside the model where one file would be too large', async () => {
    await exportOnnx(join(dir, 'whole'), model);
    await exportOnnx(join(dir, 'parts'), model, { largest: 1000 });
    expect(readdirSync(join(dir, 'parts')).sort()).toEqual(['config.json', 'model.onnx', 'model.onnx_data']);
    const read = [...model.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    expect(statSync(join(dir, 'parts', 'model.onnx_data')).size).toBe(read);
    const rows = { ids: [[3, 4]], attended: [[1, 1]], positions: [[0, 1]] };
    const [whole, parts] = await Promise.all(
      ['whole', 'parts'].map(async (name) =>
        (await Exported.open(join(dir, name, 'model.onnx'), config)).next(rows, 2),
      ),
    );
    expect([...parts.data]).toEqual([...whole.data]);
  });
});

const fixtures = process.env['EMOTUNE_FIXTURES'];
if (fixtures === undefined)
  process.stderr.write(
    'SKIPPED export against Hugging Face: set EMOTUNE_FIXTURES to the folder of fixtures\n',
  );
const folders = [
  'bloom-alibi',
  'llama-gqa-tied',
  'llama-gqa-untied',
  'llama-rope-llama3',
  'opt-postnorm-proj',
  'opt-prenorm',
];

it
  .skipIf(fixtures === undefined)
  .each(folders.flatMap((folder) => ['none', 'left', 'right'].map((padding) => [folder, padding])))(
  '%s, padded %s, gives the logits of transformers 5.23.0 step by step',
  async (folder, padding) => {
    const model = await loadModel(join(fixtures!, folder));
    await exportOnnx(dir, model);
    const exported = await Exported.open(join(dir, 'model.onnx'), model.config);
    const file = await SafetensorsFile.open(join(fixtures!, folder, `case-${padding}.safetensors`));
    const [B, T, V] = file.entries.get('logits')!.shape;
    const integers = async (name: string) => {
      const { data } = await file.int64(name);
      return Array.from({ length: B }, (_, r) => Array.from(data.subarray(r * T, (r + 1) * T), Number));
    };
    const [tokens, attended] = [await integers('input_ids'), await integers('attention_mask')];
    const { data: want } = await file.float32('logits');
    await file.close();
    // No positions were passed there: LLaMA counted every token, OPT the attended ones.
    const positions = attended.map((row) =>
      model.config.family === 'llama' ? [...row.keys()] : positionsIn(row),
    );
    const rows = { ids: tokens, attended, positions };
    let from = 0;
    for (const to of [T - 3, T - 2, T - 1, T]) {
      const { data } = await exported.next(rows, to);
      const worst = data.reduce((top, v, i) => {
        const [r, t] = [Math.floor(i / ((to - from) * V)), from + (Math.floor(i / V) % (to - from))];
        return attended[r][t] ? Math.max(top, Math.abs(v - want[(r * T + t) * V + (i % V)])) : top;
      }, 0);
      // As `npm run parity` holds logits.
      expect(worst).toBeLessThan(1e-4);
      from = to;
    }
  },
);
