import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, Rng } from '@emotune/base';
import { initialTensors, type Model, parseConfig } from '@emotune/models';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Row } from '../batches.js';
import { Interrupted } from '../failures.js';
import { trainSpec } from '../spec.js';
import { trainAlone } from '../testing.js';
import type { TrainResult } from '../train.js';

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 24,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  tie_word_embeddings: true,
});
const model = (): Model => ({ config, tensors: initialTensors(config, 7) });

/** The answer is a digit, token 4 to 9, that follows from the prompt's last token; or, in half of the rows, a label. */
const choices = {
  candidates: Array.from({ length: 6 }, (_, d) => Int32Array.of(4 + d)),
  values: Array.from({ length: 6 }, (_, d) => d / 5),
  digits: [new Map(Array.from({ length: 6 }, (_, d) => [4 + d, d]))],
};
function rows(count: number, name: string): Row[] {
  const rng = Rng.of('rows', name);
  return Array.from({ length: count }, (_, i) => {
    const key = 4 + rng.int(6);
    const filler = Array.from({ length: 2 + rng.int(8) }, () => 12 + rng.int(10));
    const row = {
      id: `${name}${i}`,
      task: 'a',
      tokens: Int32Array.from([...filler, key, 13 - key, 2]),
      answerStart: filler.length + 1,
    };
    return i % 2 ? row : { ...row, number: { value: (9 - key) / 5, choices } };
  });
}
const data = { train: rows(200, 'train'), validation: rows(20, 'validation') };

const lora = { name: 'lora', rank: 4, alpha: 8 };
const perturbation = (settings: object, more: object = {}) => ({
  regularisation: { perturbation: settings, ...more },
});
const methods: Record<string, object> = {
  neftune: perturbation({ name: 'neftune' }),
  mixup: perturbation({ name: 'mixup' }),
  fgm: perturbation({ name: 'fgm', epsilon: 0.1 }),
  pgd: perturbation({ name: 'pgd', epsilon: 0.1, stepSize: 0.05 }, { dropout: { hidden: 0.1 } }),
  freelb: perturbation({ name: 'freelb', maxNorm: 0.2 }, { dropout: { embedding: 0.1 } }),
  smart: { ema: 0.9, ...perturbation({ name: 'smart', proximal: 1 }) },
  r3f: perturbation({ name: 'r3f', noise: 'normal' }),
  rdrop: perturbation({ name: 'rdrop' }, { dropout: { embedding: 0.1, hidden: 0.1 } }),
  'mixout by element': { regularisation: { mixout: { rate: 0.5, over: 'element' } } },
  'mixout by input feature of LoRA': { method: lora, regularisation: { mixout: { rate: 0.5 } } },
  'LoRA dropout': { method: lora, regularisation: { dropout: { lora: 0.2 } } },
  'label smoothing and number tokens': { loss: { labelSmoothing: 0.1, numberTokens: {} } },
  raft: { loss: { regression: { name: 'raft', weight: 20, answerWeight: 1 } } },
  ordinal: { loss: { regression: { name: 'ordinal', deviation: 0.1, answerWeight: 1 } } },
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-methods-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each(Object.entries(methods))('%s', (_, settings) => {
  const spec = parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.02 },
    stages: [{ tasks: ['a'], tokens: 6000 }],
    batchTokens: 256,
    gradientAccumulation: 2,
    validation: { everyTokens: 3000 },
    seed: 3,
    ...settings,
  });

  it('trains without diverging, and resumed has the same weights to the bit', async () => {
    const losses: number[] = [];
    const straight = await trainAlone(model(), data, spec, {
      onMeasurement: ({ trainLoss }) => {
        losses.push(trainLoss);
        return 'continue';
      },
    });
    const mean = (some: number[]) => some.reduce((a, x) => a + x, 0) / some.length;
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(mean(losses.slice(-3))).toBeLessThan(mean(losses.slice(0, 3)));
    let resumes = 0;
    let resumed: TrainResult | undefined;
    while (!resumed) {
      const abort = new AbortController();
      let steps = 0;
      resumed = await trainAlone(model(), data, spec, {
        checkpoints: folder,
        signal: abort.signal,
        onMeasurement: () => {
          if (++steps === 5) abort.abort();
          return 'continue';
        },
      }).catch((error) => {
        expect(error).toBeInstanceOf(Interrupted);
        resumes++;
        return undefined;
      });
    }
    expect(resumes).toBeGreaterThan(1);
    expect(resumed.best).toEqual(straight.best);
    for (const [name, tensor] of straight.tensors)
      expect(resumed.tensors.get(name)!.data).toEqual(tensor.data);
  });
});
