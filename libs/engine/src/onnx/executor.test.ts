import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '@emotune/base';
import { build as b, evaluate, gradients, sizeOf, type Value } from '@emotune/graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileTensor, float32, type HostTensor, int8, int64, uint8 } from '../tensor.js';
import { executorContract, opConformance } from '../testing.js';
import { OnnxExecutor } from './executor.js';

let executor: OnnxExecutor;
beforeAll(() => {
  executor = OnnxExecutor.create({ threads: 1 });
});
afterAll(() => executor.close());

function random(name: string, shape: readonly number[]): HostTensor {
  const rng = Rng.of('executor', name);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.uniform() * 2 - 1),
  );
}

executorContract('ONNX Runtime on one thread', () => OnnxExecutor.create());
executorContract('ONNX Runtime on two threads, in short pieces', () =>
  OnnxExecutor.create({ threads: 2, pieceElements: 4 }),
);

opConformance('ONNX Runtime', () => OnnxExecutor.create());

describe('an executor on ONNX Runtime', () => {
  // Comes first: the answer is kept for the process.
  it('asks again how the processor multiplies bytes where the first who asked was closed', async () => {
    const x = b.input('x', 'float32', [4, 8]);
    const weight = [b.input('w', 'int8', [8, 8]), b.input('scale', 'float32', [8])] as const;
    const outputs = { y: b.int8MatMul(x, weight) };
    const closed = OnnxExecutor.create();
    await closed.close();
    await closed.compile(outputs).catch(() => {});
    const own = OnnxExecutor.create();
    // What is held under a name changes nothing for the question.
    await own.hold('w', int8([8, 8], new Int8Array(64).fill(127)));
    const program = await own.compile(outputs);
    expect(Object.keys(program.inputs).sort()).toEqual(['scale', 'x']);
    await own.close();
  });

  it('has the kernels of norms, activations, rotary positions and 8-bit products that the reference describes', async () => {
    const x = b.input('x', 'float32', [4, 8]);
    const gamma = b.input('gamma', 'float32', [8]);
    const beta = b.input('beta', 'float32', [8]);
    const table = b.input('table', 'float32', [4, 2]);
    const weight = [b.input('weight', 'int8', [8, 8]), b.input('scale', 'float32', [8])] as const;
    const rms = b.rmsNorm(x, gamma, 1e-5);
    const layer = b.layerNorm(b.silu(rms), gamma, beta, 1e-5);
    const turned = b.rotary(b.reshape(b.geluTanh(layer), [2, 2, 2, 4]), b.cos(table), b.sin(table));
    // The first is within a rounding step of the exact product, so two executors may differ by one such step.
    const product = b.int8MatMul(x, weight, weight);
    const loss = b.reshape(b.reduceSum(b.mul(turned, turned), [0, 1, 2, 3]), []);
    const [dx, dgamma, dbeta] = gradients(loss, [x, gamma, beta]);
    const outputs: Record<string, Value> = { rms, layer, turned, dx, dgamma, dbeta, product };
    const rng = Rng.of('int8');
    const feeds = {
      x: random('x', x.shape),
      gamma: random('gamma', gamma.shape),
      beta: random('beta', beta.shape),
      table: random('table', table.shape),
      weight: int8(
        [8, 8],
        Int8Array.from({ length: 64 }, () => rng.int(255) - 127),
      ),
      scale: random('scale', [8]),
    };
    const program = await executor.compile(outputs);
    const got = await executor.run(program, { feeds, fetch: Object.keys(outputs) });
    const want = evaluate(
      Object.values(outputs),
      Object.fromEntries(Object.entries(feeds).map(([name, { data }]) => [name, Array.from(data, Number)])),
    );
    for (const [i, name] of Object.keys(outputs).entries()) {
      const size = want[i].data.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
      // Sums of 8 to 32 products in float32: a few units of 2⁻²⁴ each.
      got[name].data.forEach((v, k) => {
        expect(Math.abs(Number(v) - want[i].data[k]), name).toBeLessThan(4e-6 * size);
      });
    }
  });

  it.each([
    [3, 64, 6],
    [3, 40, 5],
    [1, 7, 1],
    [0, 2, 3],
  ])('has the kernels of 4-bit products that the reference describes: %i × %i × %i', async (N, K, M) => {
    const x = b.input('x', 'float32', [N, K]);
    const bytes = b.input('bytes', 'uint8', [Math.ceil(M / 2), K]);
    const scale = b.input('scale', 'float32', [M, Math.ceil(K / 32)]);
    const y = b.int4MatMul(x, [bytes, scale]);
    const outputs = { y, dx: gradients(b.reshape(b.reduceSum(b.mul(y, y), [0, 1]), []), [x])[0] };
    const rng = Rng.of('int4', N, K, M);
    const feeds = {
      x: random('x', x.shape),
      bytes: uint8(
        bytes.shape,
        Uint8Array.from({ length: sizeOf(bytes.shape) }, () => rng.int(256)),
      ),
      scale: random('scale', scale.shape),
    };
    const program = await executor.compile(outputs);
    const got = await executor.run(program, { feeds, fetch: ['y', 'dx'] });
    const want = evaluate(
      [outputs.y, outputs.dx],
      Object.fromEntries(Object.entries(feeds).map(([name, { data }]) => [name, Array.from(data, Number)])),
    );
    for (const [i, name] of ['y', 'dx'].entries()) {
      expect(got[name].shape).toEqual(want[i].shape);
      const size = want[i].data.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
      // Sums of up to 64 products in float32: a few units of 2⁻²⁴ each.
      got[name].data.forEach((v, k) => {
        expect(Math.abs(Number(v) - want[i].data[k]), name).toBeLessThan(4e-6 * size);
      });
    }
    await executor.release(program);
  });

  it('takes constants from where they lie in a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'link-'));
    try {
      const path = join(folder, 'weights.bin');
      const values = random('linked', [3, 2]);
      // An odd offset, as safetensors may have it.
      await writeFile(
        path,
        Buffer.concat([Buffer.alloc(13), Buffer.from(values.data.buffer as ArrayBuffer)]),
      );
      const own = OnnxExecutor.create();
      await own.hold('w', new FileTensor([3, 2], { path, offset: 13, length: 24 }));
      const x = b.input('x', 'float32', [2, 3]);
      const w = b.input('w', 'float32', [3, 2]);
      const program = await own.compile({ y: b.matmul(x, w) });
      expect(Object.keys(program.inputs)).toEqual(['x']);
      const feeds = { x: random('x', [2, 3]) };
      const { y } = await own.run(program, { feeds, fetch: ['y'] });
      const [want] = evaluate([b.matmul(x, w)], {
        x: Array.from(feeds.x.data, Number),
        w: Array.from(values.data, Number),
      });
      y.data.forEach((v, i) => {
        expect(Number(v)).toBeCloseTo(want.data[i], 6);
      });
      await own.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([1, 3])('sweeps over slots of any size, piece by piece, with %i threads', async (threads) => {
    const executor = OnnxExecutor.create({ threads, pieceElements: 4 });
    const shapes = [[3], [2, 5], [1], [0, 2], [4, 1]];
    const sizes = shapes.map((shape) => shape.reduce((n, d) => n * d, 1));
    const values = (sign: number) => {
      let next = 0;
      return sizes.map((size) => Array.from({ length: size }, () => sign * ++next));
    };
    for (const [name, sign] of [
      ['x', 1],
      ['y', -2],
    ] as const)
      for (const [i, data] of values(sign).entries())
        await executor.put(`${name}${i}`, float32(shapes[i], data));
    const program = await executor.compileSweep((n) => {
      const [x, y] = ['x', 'y'].map((name) => b.input(name, 'float32', [n]));
      return {
        next: b.add(b.mul(x, b.input('factor', 'float32', [])), y),
        total: b.reshape(b.reduceSum(x, [0]), []),
      };
    }, 18);
    const slots = (name: string) => shapes.map((_, i) => `${name}${i}`);
    const io = {
      feeds: { factor: float32([], [3]) },
      from: { x: slots('x'), y: slots('y') },
      to: { next: slots('y') },
      fetch: ['total'],
    };
    const { total } = await executor.sweep(program, io);
    // Sums of 1 to 4, 5 to 8, 9 to 12, 13 to 16 and of 17 and 18 alone.
    expect([...total]).toEqual([10, 26, 42, 58, 35]);
    const got = await Promise.all(slots('y').map((slot) => executor.get(slot)));
    expect(got.map(({ data }) => [...data])).toEqual(values(1));
    expect(got.map(({ shape }) => shape)).toEqual(shapes);
    await expect(executor.sweep(program, { ...io, from: { ...io.from, y: ['y1', 'y0'] } })).rejects.toThrow(
      'expected slots of [3,10,1,0,4] elements for "y", got [10,3]',
    );
    await expect(executor.sweep(program, { ...io, from: { x: io.from.x } })).rejects.toThrow(
      'y: expected slots or a tensor, got nothing',
    );
    // What is put in the place of a slot that was swept is swept from then on.
    await executor.put('y0', float32([3], [10, 20, 30]));
    await executor.sweep(program, io);
    expect([...(await executor.take('y0')).data]).toEqual([13, 26, 39]);
    await expect(executor.sweep(program, io)).rejects.toThrow('expected a slot that was filled, got "y0"');
    await executor.release(program);
    await executor.put('y0', float32([3], [1, 1, 1]));
    await expect(executor.sweep(program, io)).rejects.toThrow('expected a program of this executor');
    await executor.close();
  });

  it('computes an output in the slot that it ends in, unless the graph reads that slot', async () => {
    const x = b.input('x', 'float32', [2]);
    // x is read after the first output is there.
    const doubled = b.add(x, x);
    const program = await executor.compile({ doubled, both: b.mul(doubled, b.after(x, doubled)) });
    await executor.put('a', float32([2], [2, 3]));
    await executor.run(program, { feeds: {}, from: { x: 'a' }, to: { doubled: 'a', both: 'c' }, fetch: [] });
    const held = async (slot: string) => [...(await executor.get(slot)).data];
    expect(await held('a')).toEqual([4, 6]);
    expect(await held('c')).toEqual([8, 18]);
    const { both } = await executor.run(program, {
      feeds: {},
      from: { x: 'a' },
      to: { both: 'c' },
      fetch: ['both'],
    });
    expect([...both.data]).toEqual([32, 72]);
    expect(await held('c')).toEqual([32, 72]);
    // Another shape takes the place of what was there.
    await executor.put('c', float32([3], [1, 1, 1]));
    await executor.run(program, { feeds: {}, from: { x: 'a' }, to: { both: 'c' }, fetch: [] });
    expect(await held('c')).toEqual([32, 72]);
  });

  it('adds up rows of equal indices the same way in every run, however many threads it has', async () => {
    const [rows, width] = [2 ** 15, 64];
    const x = b.input('x', 'float32', [rows, width]);
    const ids = b.input('ids', 'int64', [rows]);
    const feeds = {
      x: float32([rows, width], new Float32Array(rows * width).fill(1)),
      ids: int64(
        [rows],
        Array.from({ length: rows }, (_, i) => i % 3),
      ),
    };
    const threaded = OnnxExecutor.create({ threads: 2, spin: true });
    const program = await threaded.compile({ sums: b.scatterRows(x, ids, 4) });
    for (let run = 0; run < 20; run++) {
      const { sums } = await threaded.run(program, { feeds, fetch: ['sums'] });
      const first = [0, 1, 2, 3].map((row) => (sums.data as Float32Array)[row * width]);
      expect(first).toEqual([10923, 10923, 10922, 0]);
      expect(new Set((sums.data as Float32Array).subarray(0, width)).size).toBe(1);
    }
    await threaded.close();
  });
});
