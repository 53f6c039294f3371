import { Rng } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { build as b, evaluate } from '@emotune/graph';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Model } from './checkpoint.js';
import { parseConfig } from './config.js';
import { quantizeBlocks, throughBlocks } from './int4-blocks.js';
import { blockOf } from './lora.js';
import { frozenTensors, initialTensors, initialTrainable, type Method } from './model.js';
import { trainGraph } from './train-graph.js';

const block = 32;
const weights = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 70 }))
  .chain(([out, into]) =>
    fc
      .array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: out * into, maxLength: out * into })
      .map((values) => float32([out, into], values)),
  );
/** As the graph reads it. */
const values = (tensor: HostTensor) => Float64Array.from(tensor.data, Number);

it('every weight becomes the nearest of 16 multiples of its block, the largest of a block itself', () => {
  fc.assert(
    fc.property(weights, (tensor) => {
      const { weight, scale } = quantizeBlocks(tensor);
      const into = tensor.shape[1];
      const bytes = b.input('bytes', 'uint8', weight.shape);
      const feeds = { bytes: values(weight), scale: values(scale) };
      const [{ data }] = evaluate(
        [b.dequantize4([bytes, b.input('scale', 'float32', scale.shape)], bytes)],
        feeds,
      );
      const held = values(throughBlocks(tensor));
      values(tensor).forEach((x, i) => {
        const step = feeds.scale[Math.floor(i / into) * scale.shape[1] + Math.floor((i % into) / block)];
        // On the side that ends at 7 steps, a weight of 8 is a whole one off.
        const bound = Math.abs(step) * (x / step > 7.5 ? 1 : 0.5);
        // Below 1e-37 float32 has no 24 bits for a scale.
        expect(Math.abs(data[i] - x)).toBeLessThanOrEqual(bound * (1 + 1e-6) + 1e-43);
        if (Math.abs(x) > 1e-37 && x === -8 * step) expect(data[i]).toBe(x);
        expect(held[i] - Math.fround(data[i])).toBe(0);
      });
      expect(throughBlocks(throughBlocks(tensor)).data).toEqual(throughBlocks(tensor).data);
    }),
    // So small that its scale is no longer a number of its own.
    { examples: [[float32([3, 1], [-1.401298464324817e-45, 0, 0])]] },
  );
});

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 11,
  hidden_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 34,
  max_position_embeddings: 16,
  tie_word_embeddings: true,
});

/** The graph of a step and everything it reads, with an adapter that is under way. */
function stepOf(model: Model, method: Method) {
  const tensors = new Map([...frozenTensors(model, method), ...initialTrainable(model, method, 1)]);
  for (const [name, { data }] of tensors)
    if (name.endsWith('.lora_B.weight'))
      for (let i = 0; i < data.length; i++) data[i] = 0.05 * Rng.of(name, i).normal();
  const graph = trainGraph(config, method, { batch: 1, sequence: 4, answers: 2 });
  const feeds = {
    ...Object.fromEntries([...tensors].map(([name, tensor]) => [name, values(tensor)])),
    input_ids: [1, 5, 3, 7],
    positions: [0, 1, 2, 3],
    mask: Array.from({ length: 16 }, (_, i) => (i % 4 <= Math.floor(i / 4) ? 1 : 0)),
    answer_index: [1, 2],
    answer_target: [3, 7],
    answer_weight: [0.5, 0.5],
  };
  return { names: Object.keys(graph), results: evaluate(Object.values(graph), feeds) };
}

it.each([false, true])(
  'a 4-bit base has the loss and gradient of the weights it holds (DoRA: %s)',
  (dora) => {
    const model = { config, tensors: initialTensors(config, 7) };
    const held = new Map(
      [...model.tensors].map(([name, tensor]) => [
        name,
        blockOf(name) !== undefined && tensor.shape.length === 2 ? throughBlocks(tensor) : tensor,
      ]),
    );
    const method: Method = { name: 'lora', rank: 3, alpha: 6, dora };
    const four = stepOf(model, { ...method, baseCompute: 'int4' });
    const exact = stepOf({ config, tensors: held }, method);
    expect(four.names).toEqual(exact.names);
    expect(four.names.filter((name) => name.startsWith('grad.')).length).toBe(dora ? 42 : 28);
    four.results.forEach(({ data }, i) => {
      const size = exact.results[i].data.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
      expect(size).toBeGreaterThan(0);
      // A weight of the second was rounded to float32, and so were squares of them.
      data.forEach((v, k) => {
        expect(Math.abs(v - exact.results[i].data[k]), four.names[i]).toBeLessThan(1e-6 * size);
      });
    });
    expect(Math.abs(four.results[0].data[0] - stepOf(model, method).results[0].data[0])).toBeGreaterThan(
      1e-5,
    );
  },
);
