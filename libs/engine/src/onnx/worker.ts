/**
 * The thread in which sessions live. `session.run` blocks its thread, so only this one waits. Tensors that a run
 * leaves behind stay here as slots: weights and optimizer state never cross to the caller unless asked for.
 */
import { parentPort, type Transferable, Worker, workerData } from 'node:worker_threads';
import type { RunIO, SlotPart, SweepIO } from '../executor.js';
import type { HostTensor } from '../tensor.js';
import { free, messageOf, ort, sessionOptions, toOrt } from './runtime.ts';
import type { Scalars, SweeperData, SweeperReply, SweeperRequest } from './sweeper.js';

export type Request =
  | {
      readonly kind: 'load';
      readonly model: Uint8Array;
      readonly arena: boolean;
      readonly constants: readonly string[];
      readonly mapped: boolean;
    }
  | { readonly kind: 'loadSweep'; readonly model: Uint8Array }
  | { readonly kind: 'release'; readonly session: number }
  | { readonly kind: 'endProfiling' }
  | { readonly kind: 'put'; readonly slot: string; readonly tensor: HostTensor; readonly shared: boolean }
  | { readonly kind: 'get'; readonly slot: string }
  | { readonly kind: 'take'; readonly slot: string }
  | { readonly kind: 'drop'; readonly slot: string }
  | { readonly kind: 'run'; readonly session: number; readonly io: RunIO }
  | { readonly kind: 'sweep'; readonly session: number; readonly length: number; readonly io: SweepIO };

export type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string };

const sessions = new Map<number, ort.InferenceSession>();
const slots = new Map<string, ort.Tensor>();
let nextSession = 0;

function toHost(tensor: ort.Tensor): HostTensor {
  return {
    dtype: tensor.type as HostTensor['dtype'],
    shape: tensor.dims,
    data: tensor.data as HostTensor['data'],
  };
}

function bytesOf({ data }: ort.Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Int8Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function fill(name: string, tensor: ort.Tensor): void {
  free(slots.get(name));
  slots.set(name, tensor);
}

function slot(name: string): ort.Tensor {
  const tensor = slots.get(name);
  if (!tensor) throw new Error(`expected a slot that was filled, got "${name}"`);
  return tensor;
}

/** Writes `source` over part of what is in the slot. */
function write({ slot: name, axis, at }: SlotPart, source: ort.Tensor): void {
  const target = slot(name);
  const fits = (d: number, i: number) =>
    i === axis ? at >= 0 && at + source.dims[i] <= d : d === source.dims[i];
  if (target.type !== source.type || target.dims.length !== source.dims.length || !target.dims.every(fits)) {
    throw new Error(
      `expected slot "${name}", ${target.type} [${target.dims}], to hold ${source.type} [${source.dims}] from ${at} on of axis ${axis}`,
    );
  }
  const inner = source.dims.slice(axis + 1).reduce((a, d) => a * d, 1);
  const block = source.dims[axis] * inner;
  const [to, from] = [target.data as Float32Array, source.data as Float32Array];
  for (let begin = 0, put = at * inner; begin < from.length; begin += block, put += target.dims[axis] * inner)
    to.set(from.subarray(begin, begin + block), put);
}

function loaded(id: number): ort.InferenceSession {
  const session = sessions.get(id);
  if (!session) throw new Error(`expected a loaded session, got ${id}`);
  return session;
}

/**
 * Where an output that ends in a slot is computed: what is there is written over. Null: the runtime makes room. The binding
 * hands over a copy of every output all the same.
 */
function place(session: ort.InferenceSession, output: string, target: string): ort.Tensor | null {
  const metadata = session.outputMetadata.find(({ name }) => name === output);
  if (!metadata?.isTensor || metadata.type !== 'float32') return null;
  const shape = metadata.shape as number[];
  const old = slots.get(target);
  if (old?.type === 'float32' && old.dims.length === shape.length && old.dims.every((d, i) => d === shape[i]))
    return old;
  free(old);
  const data = new Float32Array(shape.reduce((a, d) => a * d, 1));
  const made = new ort.Tensor('float32', data, shape);
  slots.set(target, made);
  return made;
}

/** What a sweep leaves behind is small. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

/** A thread that sweeps, and what it answers to the last request. */
class Sweeper {
  private answer: { resolve(scalars: Scalars): void; reject(error: Error): void } | undefined;
  private readonly worker: Worker;
  private ended: Error | undefined;

  constructor(workerData: SweeperData) {
    const file = import.meta.url.endsWith('.ts') ? './sweeper.ts' : './sweeper.js';
    this.worker = new Worker(new URL(file, import.meta.url), { workerData, resourceLimits });
    this.worker.on('message', ({ scalars, error }: SweeperReply) =>
      error === undefined ? this.answer?.resolve(scalars!) : this.answer?.reject(new Error(error)),
    );
    this.worker.on('error', (error) => {
      this.ended = error;
      this.answer?.reject(error);
    });
  }

  ask(request: SweeperRequest): Promise<Scalars> {
    if (this.ended) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => {
      this.answer = { resolve, reject };
      this.worker.postMessage(request);
    });
  }
}

let sweepers: readonly Sweeper[] = [];
/** Where the sweepers look for slots. */
const known = new Map<string, Float32Array>();

/** What is in a slot of float32, in memory that sweepers share. */
function shared(name: string): Float32Array {
  const tensor = slot(name);
  if (tensor.type !== 'float32') throw new Error(`expected float32 in slot "${name}", got ${tensor.type}`);
  const data = tensor.data as Float32Array;
  if (data.buffer instanceof SharedArrayBuffer) return data;
  const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
  copy.set(data);
  fill(name, new ort.Tensor('float32', copy, tensor.dims));
  return copy;
}

/** Asks every sweeper; all have answered before the next is asked. */
async function askAll(request: SweeperRequest): Promise<Scalars[]> {
  const answers = await Promise.allSettled(sweepers.map((sweeper) => sweeper.ask(request)));
  return answers.map((answer) => {
    if (answer.status === 'rejected') throw answer.reason;
    return answer.value;
  });
}

async function loadSweep(model: Uint8Array): Promise<number> {
  const threads: number = workerData.sweepers;
  if (sweepers.length === 0)
    sweepers = Array.from({ length: threads }, (_, thread) => new Sweeper({ thread, threads }));
  const session = nextSession++;
  await askAll({ kind: 'load', session, model });
  return session;
}

async function sweep(session: number, length: number, io: SweepIO): Promise<Scalars> {
  const lanes = [...Object.entries(io.from), ...Object.entries(io.to)].map(([name, names]) => ({
    name,
    arrays: names.map((of) => [of, shared(of)] as const),
  }));
  const [sizes] = lanes.map(({ arrays }) => arrays.map(([, { length }]) => length));
  for (const { name, arrays } of lanes) {
    const own = arrays.map(([, { length }]) => length);
    if (own.length !== sizes.length || own.some((size, i) => size !== sizes[i]))
      throw new Error(`expected slots of [${sizes}] elements for "${name}", got [${own}]`);
  }
  const moved = lanes.flatMap(({ arrays }) => arrays.filter(([name, data]) => known.get(name) !== data));
  for (const [name, data] of moved) known.set(name, data);
  const parts = await askAll({ kind: 'sweep', session, length, io, slots: moved });
  return Object.fromEntries(
    io.fetch.map((name) => [name, Float32Array.from(parts.flatMap((part) => [...part[name]]))]),
  );
}

async function handle(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'load': {
      const session = await ort.InferenceSession.create(request.model, {
        ...sessionOptions,
        executionProviders: workerData.provider === 'cpu' ? ['cpu'] : [workerData.provider, 'cpu'],
        externalData: request.constants.map((name) => ({ path: name, data: bytesOf(slot(name)) })),
        intraOpNumThreads: workerData.threads,
        enableCpuMemArena: request.arena,
        ...(workerData.profile
          ? { enableProfiling: true, profileFilePrefix: `${workerData.profile}/session-${nextSession}` }
          : {}),
        extra: {
          optimization: { disable_specified_optimizers: 'CommonSubexpressionElimination' },
          session: {
            intra_op: { allow_spinning: workerData.spin ? '1' : '0' },
            force_spinning_stop: '1',
            set_denormal_as_zero: '1',
            // What external data is relative to.
            model_external_initializers_file_folder_path: '/',
            // A packed copy would be made of what lies in a file, once more for each session.
            disable_prepacking: request.mapped ? '1' : '0',
          },
        },
      } as ort.InferenceSession.SessionOptions);
      sessions.set(nextSession, session);
      return nextSession++;
    }
    case 'loadSweep':
      return loadSweep(request.model);
    case 'endProfiling':
      for (const session of sessions.values()) session.endProfiling();
      return undefined;
    case 'release':
      await sessions.get(request.session)?.release();
      if (!sessions.delete(request.session)) await askAll(request);
      return undefined;
    case 'put':
      fill(request.slot, toOrt(request.tensor));
      if (request.shared) shared(request.slot);
      return undefined;
    case 'get': {
      const { dtype, shape, data } = toHost(slot(request.slot));
      return { dtype, shape, data: data.slice() };
    }
    case 'take': {
      const taken = toHost(slot(request.slot));
      slots.delete(request.slot);
      // What is shared cannot be handed over.
      return taken.data.buffer instanceof SharedArrayBuffer ? { ...taken, data: taken.data.slice() } : taken;
    }
    case 'drop':
      free(slots.get(request.slot));
      slots.delete(request.slot);
      return undefined;
    case 'run': {
      const { feeds, from = {}, to = {}, into = {}, fetch } = request.io;
      const inputs: Record<string, ort.Tensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) inputs[name] = toOrt(tensor);
      for (const [name, source] of Object.entries(from)) inputs[name] = slot(source);
      const session = loaded(request.session);
      const results: Record<string, ort.Tensor | null> = Object.fromEntries(
        [...fetch, ...Object.keys(to), ...Object.keys(into)].map((name) => [name, null]),
      );
      const read = new Set(Object.values(from));
      for (const [name, target] of Object.entries(to))
        if (!read.has(target)) results[name] = place(session, name, target);
      const outputs = await session.run(inputs, results);
      for (const [name, part] of Object.entries(into)) write(part, outputs[name]);
      const filled = Object.entries(to).filter(([name]) => !results[name]);
      for (const [name, target] of filled) fill(target, outputs[name]);
      const kept = new Set([...fetch, ...filled.map(([name]) => name)]);
      for (const [name, tensor] of Object.entries(outputs)) if (!kept.has(name)) free(tensor);
      return Object.fromEntries(fetch.map((name) => [name, toHost(outputs[name])]));
    }
    case 'sweep':
      return sweep(request.session, request.length, request.io);
  }
}

/** Buffers that the caller may own: those of results that no slot keeps. */
function transferable(request: Request, value: unknown): Transferable[] {
  if (request.kind === 'get' || request.kind === 'take')
    return [(value as HostTensor).data.buffer as ArrayBuffer];
  if (request.kind !== 'run') return [];
  const kept = new Set(Object.keys(request.io.to ?? {}));
  return Object.entries(value as Record<string, HostTensor>)
    .filter(([name]) => !kept.has(name))
    .map(([, tensor]) => tensor.data.buffer as ArrayBuffer);
}

// Requests run one after another, in the order they came.
let last: Promise<unknown> = Promise.resolve();
parentPort!.on('message', ({ id, request }: { id: number; request: Request }) => {
  last = last.then(async () => {
    try {
      const value = await handle(request);
      parentPort!.postMessage({ id, value } satisfies Reply, transferable(request, value));
    } catch (error) {
      parentPort!.postMessage({ id, error: messageOf(error) } satisfies Reply);
    }
  });
});
