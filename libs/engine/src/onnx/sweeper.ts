/**
 * A thread that sweeps: it runs sessions of vectors over its share of the pieces that slots are cut into. The slots' memory is
 * shared with the executor's thread and with its other sweepers, which have the other pieces.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { SweepIO } from '../executor.js';
import { free, messageOf, ort, sessionOptions, toOrt } from './runtime.ts';

export type SweeperRequest =
  | { readonly kind: 'load'; readonly session: number; readonly model: Uint8Array }
  | { readonly kind: 'release'; readonly session: number }
  | {
      readonly kind: 'sweep';
      readonly session: number;
      /** Elements of a piece. */
      readonly length: number;
      readonly io: SweepIO;
      /** Slots that were not named before, or lie elsewhere now. */
      readonly slots: readonly (readonly [name: string, data: Float32Array])[];
    };

/** What a thread is started with. */
export interface SweeperData {
  /** Its place among all, from 0. */
  readonly thread: number;
  readonly threads: number;
}

/** The scalars of a sweep by name: one element for each of its pieces, in their order. */
export type Scalars = Record<string, Float32Array>;

export interface SweeperReply {
  readonly scalars?: Scalars;
  readonly error?: string;
}

const { thread, threads } = workerData as SweeperData;
const sessions = new Map<number, ort.InferenceSession>();
const slots = new Map<string, Float32Array>();

/** Part of a piece: `length` elements of the slots of index `slot`, from `offset` on there and `at` here. */
interface Segment {
  readonly slot: number;
  readonly offset: number;
  readonly at: number;
  readonly length: number;
}

/** The pieces of slots of these sizes, each at most `length` elements. */
function* piecesOf(sizes: readonly number[], length: number): Generator<Segment[]> {
  let piece: Segment[] = [];
  let at = 0;
  for (const [slot, size] of sizes.entries()) {
    for (let offset = 0; offset < size; ) {
      const part = Math.min(size - offset, length - at);
      piece.push({ slot, offset, at, length: part });
      offset += part;
      at += part;
      if (at < length) continue;
      yield piece;
      [piece, at] = [[], 0];
    }
  }
  if (at > 0) yield piece;
}

/** This thread's pieces: neighbours, so that threads seldom write to one cache line. */
function shareOf<T>(pieces: readonly T[]): readonly T[] {
  const begin = (of: number) => Math.floor((of * pieces.length) / threads);
  return pieces.slice(begin(thread), begin(thread + 1));
}

async function sweep({ session, length, io }: SweeperRequest & { kind: 'sweep' }): Promise<Scalars> {
  const loaded = sessions.get(session);
  if (!loaded) throw new Error(`expected a loaded session, got ${session}`);
  const { feeds, from, to, fetch } = io;
  const given: Record<string, ort.Tensor> = Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)]),
  );
  const lanes = (of: SweepIO['from']) =>
    Object.entries(of).map(([name, names]) => ({ name, arrays: names.map((slot) => slots.get(slot)!) }));
  const sources = lanes(from).map((lane) => ({ ...lane, staged: new Float32Array(length) }));
  const targets = lanes(to);
  const pieces = [
    ...piecesOf(
      sources[0].arrays.map((array) => array.length),
      length,
    ),
  ];
  const fetched: Record<string, number[]> = Object.fromEntries(fetch.map((name) => [name, []]));
  for (const piece of shareOf(pieces)) {
    const [first] = piece;
    const end = piece[piece.length - 1];
    for (const { name, arrays, staged } of sources) {
      let data: Float32Array = staged;
      if (first.length === length) data = arrays[first.slot].subarray(first.offset, first.offset + length);
      else {
        for (const part of piece)
          staged.set(arrays[part.slot].subarray(part.offset, part.offset + part.length), part.at);
        staged.fill(0, end.at + end.length);
      }
      given[name] = new ort.Tensor('float32', data, [length]);
    }
    const outputs = await loaded.run(given, [...Object.keys(to), ...fetch]);
    for (const { name, arrays } of targets) {
      const made = outputs[name].data as Float32Array;
      for (const { slot, offset, at, length } of piece)
        arrays[slot].set(made.subarray(at, at + length), offset);
      free(outputs[name]);
    }
    for (const name of fetch) fetched[name].push((outputs[name].data as Float32Array)[0]);
  }
  return Object.fromEntries(
    Object.entries(fetched).map(([name, values]) => [name, Float32Array.from(values)]),
  );
}

async function handle(request: SweeperRequest): Promise<Scalars> {
  switch (request.kind) {
    case 'load':
      sessions.set(
        request.session,
        await ort.InferenceSession.create(request.model, {
          ...sessionOptions,
          intraOpNumThreads: 1,
          extra: { session: { set_denormal_as_zero: '1' } },
        } as ort.InferenceSession.SessionOptions),
      );
      return {};
    case 'release':
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return {};
    case 'sweep':
      for (const [name, data] of request.slots) slots.set(name, data);
      return sweep(request);
  }
}

// The executor's thread asks for one thing at a time.
parentPort!.on('message', async (request: SweeperRequest) => {
  try {
    parentPort!.postMessage({ scalars: await handle(request) } satisfies SweeperReply);
  } catch (error) {
    parentPort!.postMessage({ error: messageOf(error) } satisfies SweeperReply);
  }
});
