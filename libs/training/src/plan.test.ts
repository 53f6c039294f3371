import { ResourceExhausted } from '@emotune/base';
import { parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from './failures.js';
import { checkMemory, type PlannedRun, planMemory, withPlan } from './plan.js';
import { trainSpec } from './spec.js';

const config = parseConfig({
  ...{ model_type: 'llama', vocab_size: 500, hidden_size: 64, intermediate_size: 128 },
  ...{ num_hidden_layers: 9, num_attention_heads: 4, max_position_embeddings: 256 },
});

function run(changes: Record<string, unknown> = {}, batch = 16): PlannedRun {
  const spec = trainSpec.parse({
    method: { name: 'lora', rank: 4, alpha: 8 },
    optimizer: { name: 'adamw', learningRate: 1e-3 },
    stages: [{ tasks: ['t'], tokens: 100 }],
    seed: 1,
    ...changes,
  });
  const shapes = [{ batch, sequence: 256, answers: 8 * batch }];
  return { config, spec, shapes, validates: true, checkpoints: false, keepsWeights: false };
}

const refusal = (some: PlannedRun, limit: number): ResourceExhausted => {
  try {
    checkMemory(some, limit);
  } catch (error) {
    return error as ResourceExhausted;
  }
  throw new Error('expected a refusal');
};

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

  it('refuses what does not fit with exit code 42, and names the largest batch that does', () => {
    const limit = planMemory(run()).peak - 1;
    const error = refusal(run(), limit);
    expect(exitCodeOf(error)).toBe(42);
    expect(error.message).toMatch(
      /^out of memory: the run would need [\d,]+ MiB \(weights \d+, optimizer \d+, gradients \d+, activations \d+, passing \d+, runtime \d+\), has [\d,]+ MiB; the largest batchTokens that fits is \d+$/,
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
