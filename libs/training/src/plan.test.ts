import { endingExitCodes, ResourceExhausted } from '@emotune/base';
import { onnxMemory } from '@emotune/engine';
import { type Family, parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { endingOf } from './failures.js';
import { checkMemory, type PlannedRun, planMemory, withPlan } from './plan.js';
import { smallConfig } from './pretrain.js';
import { trainSpec } from './spec.js';

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 500,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 9,
  num_attention_heads: 4,
  max_position_embeddings: 256,
});

function run(changes: Record<string, unknown> = {}, batch = 16): PlannedRun {
  const spec = trainSpec.parse({
    method: { name: 'lora', rank: 4, alpha: 8 },
    optimizer: { name: 'adamw', learningRate: 1e-3 },
    stages: [{ tasks: ['t'], tokens: 100 }],
    seed: 1,
    threads: 2,
    ...changes,
  });
  const shapes = [{ batch, sequence: 256, answers: 8 * batch }];
  const memory = onnxMemory(spec.threads);
  return { memory, config, spec, shapes, validates: true, checkpoints: false, keepsWeights: false };
}

const refusal = (some: PlannedRun, limit: number): ResourceExhausted => {
  try {
    checkMemory(some, limit);
  } catch (error) {
    return error as ResourceExhausted;
  }
  throw new Error('expected a refusal');
};

const smol = parseConfig({
  model_type: 'llama',
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  tie_word_embeddings: true,
  max_position_embeddings: 8192,
});
/** Of the shape that was measured: 4 M parameters in 6 layers. */
const small = (family: Family) =>
  smallConfig(family, { vocabSize: 8000, bos: 0, eos: 1, pad: 2 }, { width: 192, layers: 6 });
const lora = { name: 'lora', rank: 8, alpha: 16 };

describe('the memory plan', () => {
  it('counts weights, gradients and the state of the optimizer by their sizes', () => {
    const full = planMemory(run({ method: { name: 'full' } }));
    // Tied or not: the head of this model has weights of its own.
    const perLayer = 2 * 64 + 4 * 64 * 64 + 3 * 64 * 128;
    const parameters = 2 * 500 * 64 + 9 * perLayer + 64;
    expect(full.weights).toBe(4 * parameters);
    expect(full.gradients).toBe(4 * parameters);
    expect(full.optimizer).toBe(8 * parameters);
    const lion = planMemory(
      run({ method: { name: 'full' }, optimizer: { name: 'lion', learningRate: 1e-4 } }),
    );
    expect(lion.optimizer).toBe(4 * parameters);
    const { peak, ...parts } = full;
    expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(peak);
  });

  it('grows with the batch, and shrinks with recomputation and with a base in 8 bits', () => {
    const of = (changes = {}, batch = 16) => planMemory(run(changes, batch));
    expect(of({}, 32).activations).toBeGreaterThan(1.8 * of().activations);
    expect(of({ recompute: 'blocks' }).activations).toBeLessThan(0.5 * of().activations);
    expect(of({ recompute: 'full' }).activations).toBeLessThanOrEqual(
      of({ recompute: 'blocks' }).activations,
    );
    const int8 = { method: { name: 'lora', rank: 4, alpha: 8, baseCompute: 'int8' } };
    expect(of(int8).weights).toBeLessThan(of().weights);
    // 20 bytes for each 32 weights instead of 32 bytes and one for their transpose.
    const int4 = { method: { ...int8.method, baseCompute: 'int4' } };
    expect(of(int4).weights).toBeLessThan(of(int8).weights);
  });

  // VmHWM in MiB of processes that load the weights in their files and train on random rows, recompute: selective; 2
  // Xeon cores with AVX-512, onnxruntime-node 1.30.0, Node 22.23.3. The bound is what a plan is held to.
  it.each([
    ['SmolLM2-135M, LoRA, 4 × 128', smol, lora, [4, 128, 8], 1298],
    ['SmolLM2-135M, LoRA, 1 × 512', smol, lora, [1, 512, 8], 1512],
    ['SmolLM2-135M, LoRA, 4 × 128, all labelled', smol, lora, [4, 128, 127], 1560],
    ['SmolLM2-135M, LoRA on int8, 4 × 128', smol, { ...lora, baseCompute: 'int8' }, [4, 128, 8], 1094],
    ['LLaMA 4M, LoRA, 16 × 128', small('llama'), lora, [16, 128, 8], 396],
    ['OPT 4M, full, 8 × 256', small('opt'), { name: 'full' }, [8, 256, 8], 492],
    ['OPT 4M, LoRA, 8 × 64', small('opt'), lora, [8, 64, 8], 253],
    ['BLOOM 4M, full, 16 × 128', small('bloom'), { name: 'full' }, [16, 128, 127], 704],
    ['BLOOM 4M, LoRA, 8 × 256', small('bloom'), lora, [8, 256, 8], 448],
  ] as const)('is near what %s took', (_, model, method, [batch, sequence, answers], measured) => {
    const { peak } = planMemory({
      ...run({ method, recompute: 'selective' }),
      config: model,
      validates: false,
      checkpoints: false,
      shapes: [{ batch, sequence, answers: answers * batch }],
    });
    expect(Math.abs(peak / 2 ** 20 / measured - 1)).toBeLessThan(0.15);
  });

  const perturbed = (name: string, dropout = {}) => ({ regularisation: { perturbation: { name }, dropout } });
  const grid = { choices: 128, depth: 4 };
  // The same, from random rows of which 101 numbers of two decimals could be the answer. RAFT and ordinal: 2 Zen 4 cores,
  // before sweeps had threads of their own, which take some 13 MiB each.
  it.each([
    ['LLaMA 4M, PGD', 'llama', lora, [16, 128, 80], perturbed('pgd'), 658],
    ['LLaMA 4M, SMART', 'llama', lora, [16, 128, 80], perturbed('smart'), 677],
    ['LLaMA 4M, R3F', 'llama', lora, [16, 128, 80], perturbed('r3f'), 519],
    ['LLaMA 4M, R-Drop', 'llama', lora, [16, 128, 80], perturbed('rdrop', { hidden: 0.1 }), 524],
    ['LLaMA 4M, FGM', 'llama', lora, [16, 128, 80], perturbed('fgm'), 466],
    ['BLOOM 4M, full, SMART', 'bloom', { name: 'full' }, [8, 128, 40], perturbed('smart'), 511],
    ['OPT 4M, RAFT', 'opt', lora, [16, 128, 80], { loss: { regression: { name: 'raft' } } }, 401],
    [
      'OPT 4M, full, ordinal',
      'opt',
      { name: 'full' },
      [16, 128, 80],
      { loss: { regression: { name: 'ordinal' } } },
      442,
    ],
    ['BLOOM 4M, full, digits', 'bloom', { name: 'full' }, [8, 128, 40], { loss: { numberTokens: {} } }, 372],
  ] as const)('is near what %s took', (_, family, method, [batch, sequence, answers], changes, measured) => {
    const planned = run({ method, recompute: 'selective', ...changes });
    const { regression, numberTokens } = planned.spec.loss;
    const { peak } = planMemory({
      ...planned,
      config: small(family),
      validates: false,
      checkpoints: false,
      shapes: [
        {
          batch,
          sequence,
          answers,
          ...(numberTokens ? { digits: { items: answers, choices: 10 } } : {}),
          ...(regression.name === 'answer'
            ? {}
            : { grids: [{ ...grid, items: batch, asked: 16 * batch, edges: 128 * batch }] }),
        },
      ],
    });
    expect(Math.abs(peak / 2 ** 20 / measured - 1)).toBeLessThan(0.15);
  });

  it('counts a graph for each size of grids', () => {
    const one = { ...grid, items: 16, asked: 256, edges: 2048 };
    const of = (...grids: (typeof one)[]) => {
      const planned = run({ loss: { regression: { name: 'raft' } } });
      return planMemory({ ...planned, shapes: [{ ...planned.shapes[0], grids }] });
    };
    const [first, both] = [of(one), of(one, { ...one, choices: 64 })];
    expect(first.activations).toBe(0);
    expect(both.passing).toBe(first.passing);
    expect(both.runtime).toBeGreaterThan(first.runtime + 2 ** 20);
  });

  it('refuses what does not fit with exit code 42, and names the largest batch that does', () => {
    const limit = planMemory(run()).peak - 1;
    const error = refusal(run(), limit);
    expect(endingExitCodes[endingOf(error)]).toBe(42);
    expect(error.message).toMatch(
      /^out of memory: the run would need [\d,]+ MiB \(weights \d+, optimizer \d+, gradients \d+, best \d+, activations \d+, passing \d+, runtime \d+\), has [\d,]+ MiB; the largest batchTokens that fits is \d+$/,
    );
    const tokens = Number(/(\d+)$/.exec(error.message)![1]);
    expect(tokens % 256).toBe(0);
    expect(planMemory(run({}, tokens / 256)).peak).toBeLessThanOrEqual(limit);
    expect(planMemory(run({}, tokens / 256 + 1)).peak).toBeGreaterThan(limit);
  });

  it('says what would help where no batch fits', () => {
    const { message } = refusal(run({ method: { name: 'full' } }), 1);
    expect(message).toMatch(
      /no batchTokens fits; a batch of one line would need, MiB: as it is \d+, with recompute: blocks \d+, recompute: full \d+, method: lora \d+, method: lora with baseCompute: int4 \d+$/,
    );
  });

  it('goes with what the runtime says when memory runs out all the same, and with nothing else', () => {
    const plan = planMemory(run());
    expect((withPlan(new ResourceExhausted('out of memory: bad_alloc'), plan) as Error).message).toMatch(
      /^out of memory: bad_alloc; planned were \d+ MiB \(weights/,
    );
    const disk = new ResourceExhausted('no space left');
    expect(withPlan(disk, plan)).toBe(disk);
  });
});
