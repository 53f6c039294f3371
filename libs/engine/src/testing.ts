/** The contract that every executor keeps. */
import { Rng } from '@emotune/base';
import {
  build as b,
  type DType,
  evaluate,
  gradients,
  type OpName,
  ops,
  type Shape,
  sizeOf,
  type Value,
} from '@emotune/graph';
import { opCases } from '@emotune/graph/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor, Program } from './executor.js';
import { toFloat16 } from './float16.js';
import { float16, float32, type HostTensor, int8, int64, uint8 } from './tensor.js';

/** Uniform on ±1. */
function randomTensor(name: string, shape: readonly number[]): HostTensor {
  const rng = Rng.of('executor', name);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.uniform() * 2 - 1),
  );
}

/** A little of everything: two layers of attention-like work and a loss over picked answers, with its gradients. */
function layers(): Record<string, Value> {
  const x = b.input('x', 'float32', [2, 4, 6]);
  const w = b.weight('w', 'float32', [6, 6]);
  const table = b.weight('table', 'float32', [5, 6]);
  const ids = b.input('ids', 'int64', [3]);
  const h = b.matmul(x, w, { transposeY: true });
  const scores = b.where(
    b.less(b.constant(Float32Array.of(0, 1, 0, 1), [4]), b.scalar(0.5)),
    b.matmul(h, x, { transposeY: true }),
    b.scalar(-1e9),
  );
  const mixed = b.matmul(b.softmax(scores), b.mul(h, b.sigmoid(h)));
  const centred = b.sub(mixed, b.mean(mixed, [-1]));
  const normed = b.div(centred, b.sqrt(b.add(b.mean(b.mul(centred, centred), [-1]), b.scalar(1e-5))));
  const rows = b.gather(b.reshape(b.transpose(normed, [1, 0, 2]), [8, 6]), ids);
  const logits = b.matmul(rows, table, { transposeY: true });
  const nll = b.neg(b.pick(b.logSoftmax(logits), ids));
  const parts = b.concat([b.slice(normed, 1, 0, 1), b.tanh(b.slice(normed, 1, 1, 4))], 1);
  const extra = b.reshape(b.mean(b.relu(b.exp(parts)), [0, 1, 2]), []);
  const loss = b.add(b.reshape(b.mean(nll, [0, 1]), []), extra);
  const [dx, dw, dtable] = gradients(loss, [x, w, table]);
  return { loss, logits, dx, dw, dtable };
}

/** `create` gives an executor with nothing in it; what it holds ends with `close`. */
export function executorContract(name: string, create: () => Executor): void {
  describe(`${name} keeps the executor contract`, () => {
    let executor: Executor;
    beforeAll(() => {
      executor = create();
    });
    afterAll(() => executor.close());

    const held = async (slot: string) => [...(await executor.get(slot)).data];
    const doubling = () => executor.compile({ y: b.mul(b.state('x', 'float32', [2]), b.scalar(2)) });
    const vector = (...values: number[]) => float32([values.length], values);

    it('computes values and gradients as the float64 reference does, however it is told to run', async () => {
      const outputs = layers();
      const feeds = {
        x: randomTensor('x', [2, 4, 6]),
        w: randomTensor('w', [6, 6]),
        table: randomTensor('table', [5, 6]),
        ids: int64([3], [4, 0, 4]),
      };
      const want = evaluate(
        Object.values(outputs),
        Object.fromEntries(Object.entries(feeds).map(([of, { data }]) => [of, Array.from(data, Number)])),
      );
      for (const hints of [{}, { runs: 'seldom' }, { runs: 'often', fewRows: true }] as const) {
        const program = await executor.compile(outputs, hints);
        const got = await executor.run(program, { feeds, fetch: Object.keys(outputs) });
        for (const [i, output] of Object.keys(outputs).entries()) {
          expect(got[output].shape).toEqual(want[i].shape);
          const largest = want[i].data.reduce((top, v) => Math.max(top, Math.abs(v)), 1);
          // float32 against float64: a few hundred roundings of 6e-8 at most.
          got[output].data.forEach((v, k) => {
            expect(Math.abs(Number(v) - want[i].data[k]), output).toBeLessThan(2e-5 * largest);
          });
        }
        await executor.release(program);
      }
    });

    it('gives the same bits for the same run', async () => {
      const { dw } = layers();
      const program = await executor.compile({ dw });
      const feeds = Object.fromEntries(
        Object.entries(program.inputs).map(([of, { dtype, shape }]) => [
          of,
          dtype === 'int64' ? int64(shape, [1, 2, 2]) : randomTensor(of, shape),
        ]),
      );
      const run = () => executor.run(program, { feeds, fetch: ['dw'] });
      expect(await run()).toEqual(await run());
    });

    it('tells what a program is given, of what kind, and what it makes', async () => {
      const x = b.input('x', 'int64', [2]);
      const program = await executor.compile({
        rows: b.gather(b.weight('table', 'float32', [3, 2]), x),
        sum: b.add(b.toFloat(x), b.state('s', 'float32', [2])),
      });
      expect(program.inputs).toEqual({
        table: { dtype: 'float32', shape: [3, 2], kind: 'weight' },
        x: { dtype: 'int64', shape: [2], kind: 'feed' },
        s: { dtype: 'float32', shape: [2], kind: 'state' },
      });
      expect(program.outputs).toEqual({
        rows: { dtype: 'float32', shape: [2, 2] },
        sum: { dtype: 'float32', shape: [2] },
      });
    });

    it('keeps state in slots from run to run, and empties them when asked', async () => {
      const program = await doubling();
      await executor.put('state', vector(1, 3));
      for (let step = 0; step < 3; step++) {
        const io = { feeds: {}, from: { x: 'state' }, to: { y: 'state' }, fetch: [] };
        expect(await executor.run(program, io)).toEqual({});
      }
      expect(await held('state')).toEqual([8, 24]);
      const { dtype, shape, data } = await executor.take('state');
      expect([dtype, shape, [...data]]).toEqual(['float32', [2], [8, 24]]);
      await executor.put('other', vector(1));
      await executor.drop('other');
      for (const slot of ['state', 'other', 'never']) {
        const filled = `expected a slot that was filled, got "${slot}"`;
        await expect(executor.get(slot)).rejects.toThrow(filled);
        const run = executor.run(program, { feeds: {}, from: { x: slot }, fetch: ['y'] });
        await expect(run).rejects.toThrow(filled);
      }
    });

    it('returns outputs that it leaves in slots too, and what is returned is the caller’s', async () => {
      const program = await doubling();
      const run = () =>
        executor.run(program, { feeds: { x: vector(1, 2) }, to: { y: 'kept' }, fetch: ['y'] });
      const { y } = await run();
      expect([...y.data]).toEqual([2, 4]);
      (y.data as Float32Array).fill(0);
      expect(await held('kept')).toEqual([2, 4]);
      const copy = await executor.get('kept');
      (copy.data as Float32Array).fill(0);
      expect(await held('kept')).toEqual([2, 4]);
    });

    it('copies what is put, unless it is moved; what is part of a larger array is copied all the same', async () => {
      const [whole, copied] = [vector(1, 2, 3), vector(4, 5)];
      const part = float32([2], (whole.data as Float32Array).subarray(1));
      await executor.put('part', part, { move: true });
      await executor.put('copied', copied);
      await executor.put('whole', whole, { move: true });
      expect(whole.data.length).toBe(0);
      (copied.data as Float32Array).fill(0);
      expect(await held('part')).toEqual([2, 3]);
      expect(await held('copied')).toEqual([4, 5]);
      expect(await held('whole')).toEqual([1, 2, 3]);
    });

    it('writes outputs over part of a slot, and refuses what does not fit', async () => {
      const program = await executor.compile({ y: b.neg(b.input('x', 'float32', [2, 1, 2])) });
      await executor.put('cache', float32([2, 3, 2], new Float32Array(12)));
      const run = (at: number, axis = 1) =>
        executor.run(program, {
          feeds: { x: float32([2, 1, 2], [1, 2, 3, 4]) },
          into: { y: { slot: 'cache', axis, at } },
          fetch: [],
        });
      await run(2);
      await run(0);
      expect(await held('cache')).toEqual([-1, -2, 0, 0, -1, -2, -3, -4, 0, 0, -3, -4]);
      for (const wrong of [run(3), run(-1), run(0, 2)])
        await expect(wrong).rejects.toThrow(
          'expected slot "cache", float32 [2,3,2], to hold float32 [2,1,2]',
        );
    });

    it('lets a run read a slot to the end that it writes, and fill one of another shape', async () => {
      const x = b.state('x', 'float32', [2]);
      // x is read after the first output is there.
      const doubled = b.add(x, x);
      const program = await executor.compile({ doubled, both: b.mul(doubled, b.after(x, doubled)) });
      await executor.put('a', vector(2, 3));
      await executor.put('c', vector(1, 1, 1));
      const to = { doubled: 'a', both: 'c' };
      await executor.run(program, { feeds: {}, from: { x: 'a' }, to, fetch: [] });
      expect(await held('a')).toEqual([4, 6]);
      expect(await held('c')).toEqual([8, 18]);
      expect((await executor.get('c')).shape).toEqual([2]);
    });

    it('gives what is held to every graph that is compiled afterwards', async () => {
      const own = create();
      try {
        const w = b.weight('w', 'float32', [2]);
        const before = await own.compile({ y: b.neg(w) });
        const tensor = vector(1, 2);
        await own.hold('w', tensor, { move: true });
        expect(tensor.data.length).toBe(0);
        const program = await own.compile({ y: b.add(w, b.input('x', 'float32', [2])) });
        expect(Object.keys(before.inputs)).toEqual(['w']);
        expect(Object.keys(program.inputs)).toEqual(['x']);
        const { y } = await own.run(program, { feeds: { x: vector(10, 20) }, fetch: ['y'] });
        expect([...y.data]).toEqual([11, 22]);
        expect([...(await own.get('w')).data]).toEqual([1, 2]);
        const given = own.run(program, { feeds: { x: vector(0, 0), w: vector(3, 4) }, fetch: ['y'] });
        await expect(given).rejects.toThrow("w: expected one of the graph's inputs: x");
      } finally {
        await own.close();
      }
    });

    it('sweeps over slots of any shape', async () => {
      const shapes = [[3], [2, 5], [1], [0, 2], [4, 1]];
      const values = (sign: number) => {
        let next = 0;
        return shapes.map((shape) => Array.from({ length: sizeOf(shape) }, () => sign * ++next));
      };
      const slots = (of: string) => shapes.map((_, i) => `${of}${i}`);
      for (const [i, shape] of shapes.entries()) {
        await executor.put(`x${i}`, float32(shape, values(1)[i]), { swept: true });
        await executor.put(`y${i}`, float32(shape, values(-2)[i]));
      }
      const program = await executor.compileSweep((n) => {
        const [x, y] = ['x', 'y'].map((of) => b.state(of, 'float32', [n]));
        return {
          next: b.add(b.mul(x, b.input('factor', 'float32', [])), y),
          total: b.reshape(b.reduceSum(x, [0]), []),
        };
      }, 18);
      const io = {
        feeds: { factor: float32([], [3]) },
        from: { x: slots('x'), y: slots('y') },
        to: { next: slots('y') },
        fetch: ['total'],
      };
      const { total } = await executor.sweep(program, io);
      // However many pieces there were.
      expect(total.reduce((sum, v) => sum + v, 0)).toBe(171);
      const got = await Promise.all(slots('y').map((slot) => executor.get(slot)));
      expect(got.map(({ data }) => [...data])).toEqual(values(1));
      expect(got.map(({ shape }) => shape)).toEqual(shapes);
      await expect(executor.sweep(program, { ...io, from: { ...io.from, y: ['y1', 'y0'] } })).rejects.toThrow(
        'expected slots of [3,10,1,0,4] elements for "y", got [10,3]',
      );
      await expect(executor.sweep(program, { ...io, from: { x: io.from.x } })).rejects.toThrow(
        'y: expected slots or a tensor, got nothing',
      );
      await executor.take('y0');
      await expect(executor.sweep(program, io)).rejects.toThrow('expected a slot that was filled, got "y0"');
    });

    it('names every input and output that is missing, unknown or misshapen', async () => {
      const program = await executor.compile({
        y: b.add(b.input('p', 'float32', [2]), b.input('q', 'float32', [2])),
      });
      const run = executor.run(program, {
        feeds: { p: vector(1, 2, 3), r: vector(1) },
        fetch: ['z'],
      });
      await expect(run).rejects.toMatchObject({
        violations: [
          { field: 'q', description: 'expected a tensor of [2], got nothing' },
          { field: 'r', description: "expected one of the graph's inputs: p, q" },
          { field: 'z', description: "expected one of the graph's outputs: y" },
          { field: 'p', description: 'expected float32 [2], got float32 [3]' },
        ],
      });
    });

    it('runs no program that it released, or that another compiled', async () => {
      const program = await doubling();
      await executor.release(program);
      const io = { feeds: { x: vector(1, 2) }, fetch: ['y'] };
      const other = create();
      try {
        const foreign: Program = await other.compile({ y: b.state('x', 'float32', [2]) });
        for (const wrong of [program, foreign])
          await expect(executor.run(wrong, io)).rejects.toThrow('expected a program of this executor');
      } finally {
        await other.close();
      }
    });

    it('knows what graphs take of memory before it has any', () => {
      const { memory } = executor;
      const x = b.input('x', 'float32', [1024]);
      const long = b.exp(b.matmul(b.reshape(x, [1024, 1]), b.reshape(x, [1, 1024])));
      const [less, more] = [{ y: b.exp(x) }, { y: b.reduceSum(long, [0]) }].map((graph) => memory.of(graph));
      expect(memory.base).toBeGreaterThanOrEqual(0);
      // The product in float32.
      expect(more.running).toBeGreaterThanOrEqual(4 * 2 ** 20);
      expect(less.running).toBeLessThan(2 ** 20);
      expect(more.compiled).toBeGreaterThanOrEqual(less.compiled);
      expect(more.replacing).toBeGreaterThanOrEqual(more.running);
      const swept = memory.ofSweep((n) => ({ y: b.exp(b.state('x', 'float32', [n])) }), 2 ** 30);
      expect(swept.running).toBeLessThanOrEqual(2 * 4 * 2 ** 30);
    });

    it('refuses calls once it is closed', async () => {
      const other = create();
      await other.put('a', vector(1));
      await other.close();
      await expect(other.get('a')).rejects.toThrow('the executor is closed');
    });
  });
}

const hostTensor: Readonly<Partial<Record<DType, (shape: Shape, values: readonly number[]) => HostTensor>>> =
  {
    float32,
    float16: (shape, values) => float16(shape, toFloat16(Float32Array.from(values))),
    int64,
    int8: (shape, values) => int8(shape, Int8Array.from(values)),
    uint8: (shape, values) => uint8(shape, Uint8Array.from(values)),
  };

/** Every op of the table and its gradients, on every case of it, against the float64 reference. */
export function opConformance(name: string, create: () => Executor | Promise<Executor>): void {
  describe(`${name} computes every op as the float64 reference does`, () => {
    let executor: Executor;
    beforeAll(async () => {
      executor = await create();
    });
    afterAll(() => executor.close());

    const cases = Object.entries(opCases).flatMap(([op, list]) =>
      list.map((c, i) => [`${op} ${i} on ${JSON.stringify(c.shapes)}`, op, c] as const),
    );
    it.each(cases)('%s', async (_, op, { shapes, fixed = [], build, domain = (u) => 4 * u - 2 }) => {
      const rng = Rng.of('conformance', op);
      const inputs = shapes.map((shape, n) => b.input(`x${n}`, 'float32', shape));
      const others = fixed.map(({ dtype, shape }, n) => b.input(`f${n}`, dtype, shape));
      const y = build([...inputs, ...others]);
      const outputs: Record<string, Value> = { y };
      if ('vjp' in ops[op as OpName]) {
        const total = b.reshape(
          b.reduceSum(
            b.mul(y, y),
            y.shape.map((_, axis) => axis),
          ),
          [],
        );
        for (const [n, dx] of gradients(total, inputs).entries()) outputs[`dx${n}`] = dx;
      }
      const random = ({ shape }: Value) =>
        float32(
          shape,
          Array.from({ length: sizeOf(shape) }, () => domain(rng.uniform())),
        );
      const numbers: Record<string, readonly number[]> = {};
      const feeds: Record<string, HostTensor> = {};
      for (const input of inputs) {
        feeds[input.name!] = random(input);
        numbers[input.name!] = Array.from(feeds[input.name!].data, Number);
      }
      for (const [n, { dtype, shape, values }] of fixed.entries()) {
        feeds[`f${n}`] = hostTensor[dtype]!(shape, values);
        numbers[`f${n}`] = values;
      }
      const program = await executor.compile(outputs);
      const given = Object.keys(program.inputs);
      const got = await executor.run(program, {
        feeds: Object.fromEntries(given.map((input) => [input, feeds[input]])),
        fetch: Object.keys(outputs),
      });
      await executor.release(program);
      const want = evaluate(Object.values(outputs), numbers);
      for (const [i, [output, { dtype }]] of Object.entries(outputs).entries()) {
        expect(got[output].dtype).toBe(dtype);
        expect(got[output].shape).toEqual(want[i].shape);
        const largest = want[i].data.reduce((top, v) => Math.max(top, Math.abs(v)), 1);
        got[output].data.forEach((v, k) => {
          // A few dozen roundings of 6e-8; bytes may fall on the other side of a half.
          const tolerance = dtype === 'uint8' ? 1 : 4e-6 * largest;
          expect(Math.abs(Number(v) - want[i].data[k]), output).toBeLessThanOrEqual(tolerance);
        });
      }
    });
  });
}
