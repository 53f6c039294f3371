import { InvalidArgument } from '@emotune/base';
import { onnxMemory } from '@emotune/engine';
import { parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { chanceToFit, MemoryForecast } from './memory-forecast.js';
import { planMemory } from './plan.js';
import { parseSettings } from './settings-input.js';
import { trainSpecOf } from './spec.js';

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 500,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  max_position_embeddings: 256,
});
const rows = { longest: 157, answerShare: 0.0499 };
const settings = (more: object) => parseSettings({ ...more });

/** The plan of the run itself, with batches of the longest row's length. */
function planned(more: object): number {
  const spec = trainSpecOf(settings(more), { tasks: ['t', 'u'], validationTokens: 0 });
  const batch = Math.max(1, Math.floor(spec.batchTokens / 160));
  const shapes = [{ batch, sequence: 160, answers: 8 * batch }];
  const memory = onnxMemory(spec.threads);
  const run = { memory, config, spec, shapes, validates: true, checkpoints: true, keepsWeights: false };
  return planMemory(run).peak;
}

const lora = { method: 'lora', loraRank: 13 };

describe('a forecast of memory', () => {
  it.each([
    {},
    { batchTokens: 100 },
    { batchTokens: 7000 },
    { ...lora, batchTokens: 3600 },
    { method: 'lora', loraRank: 300, lora: { dora: true }, batchTokens: 1000 },
    { optimizer: 'adafactor', ema: 0.999, gradientAccumulation: 8 },
    { ...lora, optimizer: 'lion', lora: { baseCompute: 'int4' }, recompute: 'blocks', batchTokens: 5000 },
    { full: { trainableLayers: 1 }, regularisation: { perturbation: { name: 'fgm' } } },
  ])('is the plan of the run, or little more: %j', (more) => {
    const above = new MemoryForecast(config, rows).peak(settings(more)) / planned(more) - 1;
    expect(above).toBeGreaterThan(0);
    expect(above).toBeLessThan(0.06);
  });

  it.each([
    [{ learningRate: 1 }, { learningRate: 2 }],
    [{ loss: { labelSmoothing: 0.1 } }, { loss: { labelSmoothing: 0.4 } }],
    [{ ema: 0.9 }, { ema: 0.5 }],
    [{ gradientAccumulation: 2 }, { gradientAccumulation: 9 }],
    [
      { ...lora, lora: { loraPlusRatio: 2 } },
      { ...lora, loraAlpha: 3, lora: { loraPlusRatio: 5 } },
    ],
    [{ regularisation: { dropout: { hidden: 0.1 } } }, { regularisation: { dropout: { hidden: 0.5 } } }],
    [{ regularisation: { mixout: { rate: 0.1 } } }, { regularisation: { mixout: { rate: 0.9 } } }],
    [
      { regularisation: { perturbation: { name: 'pgd', steps: 2, stepSize: 0.1 } } },
      { regularisation: { perturbation: { name: 'pgd', steps: 7, stepSize: 0.3 } } },
    ],
    [
      { optimizer: 'adafactor', decayRate: -0.5, weightDecay: 0.1 },
      { optimizer: 'adafactor', decayRate: -0.9, clipThreshold: 3, weightDecay: 0.2 },
    ],
  ])('takes %j as %j, as the plan does', (one, other) => {
    const forecast = new MemoryForecast(config, rows);
    expect(planned(other)).toBe(planned(one));
    expect(forecast.peak(settings(other))).toBe(forecast.peak(settings(one)));
  });

  it('is that of all ranks together', () => {
    const forecast = new MemoryForecast(config, rows);
    const one = forecast.peak(settings({ gradientAccumulation: 2 }));
    const two = forecast.peak(settings({ gradientAccumulation: 2, ranks: 2 }));
    // Each holds the whole model, and what it sums besides.
    expect(two).toBeGreaterThanOrEqual(2 * one);
    expect(two).toBeLessThan(3 * one);
  });

  it('tells apart what a plan tells apart', () => {
    const forecast = new MemoryForecast(config, rows);
    const peaks = [
      {},
      { optimizer: 'lion' },
      { ema: 0.9 },
      { method: 'lora' },
      { regularisation: { dropout: { hidden: 0.1 } } },
      { recompute: 'blocks' },
      { full: { trainableLayers: 1 } },
    ].map((more) => forecast.peak(settings(more)));
    expect(new Set(peaks).size).toBe(peaks.length);
  });

  it('refuses settings that contradict each other, and says what would fit in place of what does not', () => {
    const forecast = new MemoryForecast(config, rows);
    expect(() => forecast.peak(settings({ mixingTemperature: 2 }))).toThrow(InvalidArgument);
    const most = planned({});
    expect(forecast.shortage(settings({}), most)).toBeUndefined();
    expect(forecast.shortage(settings({}), most - 1)).toMatch(
      /^the run would need [\d,]+ MiB \(weights .*\), has [\d,]+ MiB; the largest batchTokens that fits is 1760$/,
    );
  });

  it('before the rows are known is the least that a run can have', () => {
    const least = new MemoryForecast(config, undefined);
    for (const more of [{ batchTokens: 16 }, lora])
      expect(least.peak(settings(more))).toBeLessThan(
        new MemoryForecast(config, { longest: 8, answerShare: 1 }).peak(settings(more)) + 1,
      );
  });
});

it('what a plan exceeds by its error cannot fit, and what it exceeds at all is no likelier to than not', () => {
  expect([0.5, 1, 1.05, 1.15, 3].map((peak) => chanceToFit(100 * peak, 100))).toEqual([
    1,
    1,
    expect.closeTo(1 / 3, 9),
    expect.closeTo(0, 9),
    0,
  ]);
  expect(chanceToFit(100.001, 100)).toBeLessThan(0.5);
});
