import { float32, OnnxExecutor } from '@emotune/engine';
import { embeddingModule, type Family, initialTensors, Scorer } from '@emotune/models';
import { smallConfig } from '@emotune/training';
import { expect, it } from 'vitest';
import { averagingAttention } from './averaging-attention.js';

const size = 40;
const shape = { width: 64, layers: 2 };

/** What a new model of random embeddings makes of an answer after texts that hold the answer's own embedding, and that do not. */
async function preference(family: Family, averaging: boolean): Promise<number> {
  const config = smallConfig(family, { vocabSize: size, bos: 0, eos: 1, pad: 2 }, shape);
  const usual = initialTensors(config, 1);
  const tensors = averaging ? averagingAttention(config, usual) : usual;
  const name = `${embeddingModule(config)}.weight`;
  const table = Float32Array.from(tensors.get(name)!.data as Float32Array, (x) => 5 * x);
  const [word, answer] = [10, 20];
  table.copyWithin(answer * shape.width, word * shape.width, (word + 1) * shape.width);
  tensors.set(name, float32([size, shape.width], table));
  const scorer = await Scorer.create({ config, tensors }, OnnxExecutor.create, { threads: 1 });
  try {
    const scored = async (prompt: number[]) => {
      const candidates = [Int32Array.of(answer), Int32Array.of(21)];
      const requests = [{ prompt: Int32Array.from(prompt), candidates, shared: 0 }];
      const [[own, other]] = await scorer.score(requests);
      return own - other;
    };
    return (await scored([0, word, 30, 31])) - (await scored([0, 11, 30, 31]));
  } finally {
    await scorer.close();
  }
}

it.each(['llama', 'opt', 'bloom'] as const)('a new %s answers by what it has read', async (family) => {
  expect(await preference(family, true)).toBeGreaterThan(0.5);
  expect(Math.abs(await preference(family, false))).toBeLessThan(0.1);
});
