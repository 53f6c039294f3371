import { Rng } from '@emotune/base';
import { bool, int64, OnnxExecutor } from '@emotune/engine';
import { describe, expect, it } from 'vitest';
import { parseConfig } from './config.js';
import { initialTensors } from './model.js';
import type { ScoreRequest } from './score-layout.js';
import { Scorer } from './scorer.js';
import { lossGraph } from './train-graph.js';

const ids = { vocab_size: 20, hidden_size: 24 };
const configs = [
  {
    model_type: 'llama',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    intermediate_size: 40,
  },
  {
    model_type: 'opt',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    ffn_dim: 40,
    max_position_embeddings: 64,
  },
  { model_type: 'bloom', ...ids, n_layer: 2, n_head: 3 },
].map(parseConfig);

it.each(configs)('$family scores nearly the same with weights of 8 bits', async (config) => {
  const model = { config, tensors: initialTensors(config, 5) };
  for (const { shape, data } of model.tensors.values())
    if (shape.length === 2)
      (data as Float32Array).forEach((v, i, all) => {
        all[i] = 8 * v;
      });
  const requests = [7, 20].map((length) => ({
    prompt: Int32Array.from({ length }, (_, i) => (3 * i + length) % 20),
    candidates: Array.from({ length: 20 }, (_, token) => Int32Array.of(token)),
  }));
  const [exact, reduced] = [
    await Scorer.create(model, OnnxExecutor.create),
    await Scorer.create(model, OnnxExecutor.create, { baseCompute: 'int8' }),
  ];
  try {
    const [want, got] = [await exact.score(requests), await reduced.score(requests)];
    const spread = Math.max(...want[0]) - Math.min(...want[0]);
    for (const [r, scores] of got.entries())
      for (const [c, score] of scores.entries()) {
        // A weight and an activation are rounded by at most 1/254 of their row's or column's largest each.
        expect(Math.abs(score - want[r][c])).toBeLessThan(0.05 * spread);
      }
    expect(got).not.toEqual(want);
  } finally {
    await Promise.all([exact.close(), reduced.close()]);
  }
});

it.each(configs)(
  '$family scores a trie of candidates as one plain forward pass for each does',
  async (config) => {
    const tensors = initialTensors(config, 5);
    // Larger weights than a fresh model has, so that likelihoods differ.
    for (const t of tensors.values())
      if (t.shape.length === 2)
        (t.data as Float32Array).forEach((v, i, all) => {
          all[i] = 8 * v;
        });
    const rng = Rng.of('scorer');
    const draw = (n: number) => Int32Array.from({ length: n }, () => rng.int(20));
    const requests: ScoreRequest[] = [3, 17, 9].map((length) => ({
      prompt: draw(length),
      // Shared prefixes, one a prefix of another, one alone.
      candidates: [[4, 5, 6], [4, 5, 7], [4, 5], [4, 8, 6, 2], [9]].map((c) => Int32Array.from(c)),
    }));
    const scorer = await Scorer.create({ config, tensors }, OnnxExecutor.create, { threads: 2 });
    const executor = OnnxExecutor.create();
    try {
      const got = await scorer.score(requests);
      for (const [name, t] of tensors) await executor.put(name, t);
      for (const [r, { prompt, candidates }] of requests.entries()) {
        for (const [c, candidate] of candidates.entries()) {
          const row = [...prompt, ...candidate];
          const T = row.length;
          const n = candidate.length;
          const program = await executor.compile(
            lossGraph(config, { name: 'full' }, { batch: 1, sequence: T, answers: n }),
          );
          const feeds = {
            input_ids: int64([1, T], row),
            positions: int64(
              [1, T],
              row.map((_, t) => t),
            ),
            mask: bool(
              [1, 1, T, T],
              Uint8Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 1 : 0)),
            ),
            answer_index: int64(
              [n],
              [...candidate].map((_, i) => prompt.length - 1 + i),
            ),
            answer_target: int64([n], candidate),
          };
          const from = Object.fromEntries(
            [...tensors.keys()].filter((name) => name in program.inputs).map((name) => [name, name]),
          );
          const { nll } = await executor.run(program, { feeds, from, fetch: ['nll'] });
          const want = -(nll.data as Float32Array).reduce((sum, v) => sum + v, 0);
          // float32 sums in another order.
          expect(Math.abs(got[r][c] - want)).toBeLessThan(2e-5);
        }
      }
      // Enough rows for several batches on both threads, of all lengths: none changes another's answer.
      const many = Array.from({ length: 60 }, (_, i) => requests[i % 3]);
      for (const [i, scores] of (await scorer.score(many)).entries())
        scores.forEach((score, c) => {
          expect(Math.abs(score - got[i % 3][c])).toBeLessThan(2e-5);
        });
      // An instruction of 35 tokens before each, whose keys and values all of a call share.
      const instruction = draw(35);
      const instructed = many.map(({ prompt, candidates }) => ({
        prompt: Int32Array.of(...instruction, ...prompt),
        candidates,
        shared: instruction.length,
      }));
      const together = await scorer.score(instructed);
      expect(await scorer.score(instructed)).toEqual(together);
      for (const [i, request] of instructed.slice(0, 3).entries()) {
        const [alone] = await scorer.score([request]);
        alone.forEach((score, c) => {
          expect(Math.abs(score - together[i][c])).toBeLessThan(2e-5);
          expect(Math.abs(score - got[i][c])).toBeGreaterThan(1e-4);
        });
      }
      expect(new Set(got.flatMap((g) => [...g])).size).toBeGreaterThan(12);
      await expect(scorer.score([{ prompt: new Int32Array(), candidates: [] }])).rejects.toThrow(
        'requests[0].prompt: expected tokens, got none',
      );
    } finally {
      await scorer.close();
      await executor.close();
    }
  },
);

describe('calls at the same time', () => {
  const [config] = configs;
  const model = { config, tensors: initialTensors(config, 5) };
  const request = (length: number): ScoreRequest => ({
    prompt: Int32Array.from({ length }, (_, i) => (3 * i + length) % 20),
    candidates: [Int32Array.of(4), Int32Array.of(5, 6)],
  });

  it('are answered each as it would be alone, from few passes', async () => {
    let passes = 0;
    const scorer = await Scorer.create(model, (options) => {
      const executor = OnnxExecutor.create(options);
      const run = executor.run.bind(executor);
      executor.run = (...args) => {
        passes++;
        return run(...args);
      };
      return executor;
    });
    try {
      const requests = Array.from({ length: 40 }, (_, i) => request(20 + (i % 8)));
      const alone: Float64Array[] = [];
      for (const one of requests.slice(0, 8)) alone.push(...(await scorer.score([one])));
      passes = 0;
      const together = await Promise.all(requests.map((one) => scorer.score([one])));
      for (const [i, [scores]] of together.entries())
        scores.forEach((score, c) => {
          expect(Math.abs(score - alone[i % 8][c])).toBeLessThan(2e-5);
        });
      expect(passes).toBeLessThan(15);
    } finally {
      await scorer.close();
    }
  });

  it('that are given up are not computed, and leave the others alone', async () => {
    const scorer = await Scorer.create(model, OnnxExecutor.create);
    try {
      const stop = new AbortController();
      const many = scorer.score(
        Array.from({ length: 5000 }, () => request(200)),
        { signal: stop.signal },
      );
      const one = scorer.score([request(20)]);
      stop.abort(new Error('the caller left'));
      await expect(many).rejects.toThrow('the caller left');
      expect((await one)[0]).toHaveLength(2);
      // 5,000 rows would take minutes.
      expect((await scorer.score([request(30)]))[0]).toHaveLength(2);
      await expect(scorer.score([request(20)], { signal: stop.signal })).rejects.toThrow('the caller left');
    } finally {
      await scorer.close();
    }
  });

  it('are answered the same after all graphs and prefixes were let go, also while they run', async () => {
    let [compiled, released] = [0, 0];
    const dropped: string[] = [];
    const scorer = await Scorer.create(model, (options) => {
      const executor = OnnxExecutor.create(options);
      const { compile, release, drop } = executor;
      executor.compile = (...args) => {
        compiled++;
        return compile.apply(executor, args);
      };
      executor.release = (...args) => {
        released++;
        return release.apply(executor, args);
      };
      executor.drop = (slot) => {
        dropped.push(slot);
        return drop.apply(executor, [slot]);
      };
      return executor;
    });
    try {
      const asked = [20, 33].map((length) => ({ ...request(length), shared: 16 }));
      const score = () => Promise.all(asked.map((each) => scorer.score([each])));
      const before = await score();
      expect(compiled).toBeGreaterThan(1);
      await scorer.forget();
      expect(released).toBe(compiled);
      expect(dropped.length).toBeGreaterThan(0);
      const [during] = await Promise.all([score(), scorer.forget(), scorer.forget()]);
      expect(during).toEqual(before);
      expect(await score()).toEqual(before);
    } finally {
      await scorer.close();
    }
  });

  it('are refused when the scorer is closed', async () => {
    const scorer = await Scorer.create(model, OnnxExecutor.create);
    const asked = scorer.score(Array.from({ length: 500 }, () => request(100)));
    const refused = expect(asked).rejects.toThrow('the executor is closed');
    await scorer.close();
    await refused;
  });
});
