/** The optimizer of a run: its state in slots, and the graphs that change them. */
import { float32, type HostTensor, type Session } from '@emotune/engine';
import { sizeOf, type Value } from '@emotune/graph';
import type { Parameter } from '@emotune/models';
import type { Sessions } from '../sessions.js';
import type { TrainSpec } from '../spec.js';
import type { Optimizer } from './optimizer.js';
import {
  clipFactor,
  decayOf,
  optimizerOf,
  squaresGraph,
  sumGraph,
  type UpdateOptions,
  updateGraph,
} from './update-graph.js';

/** Elements of a piece: what is computed from them stays in a processor's cache. */
const pieceElements = 2 ** 15;

/** Weights of one graph that reads them whole: while it runs, theirs are there twice. */
const graphElements = 2 ** 24;

/** Elements that a sweep over these takes at a time. */
function pieceOf(parameters: readonly Parameter[]): number {
  return Math.min(
    pieceElements,
    parameters.reduce((n, { shape }) => n + sizeOf(shape), 0),
  );
}

/** Neighbours together, as many as `graphElements` allows. */
function neighbours(parameters: readonly Parameter[]): Parameter[][] {
  const groups: Parameter[][] = [];
  let elements = Number.POSITIVE_INFINITY;
  for (const parameter of parameters) {
    const size = sizeOf(parameter.shape);
    if (elements + size > graphElements) {
      groups.push([]);
      elements = 0;
    }
    groups[groups.length - 1].push(parameter);
    elements += size;
  }
  return groups;
}

/** What `updateGraph` sees of weights that are swept: one vector of this name. */
const swept = 'weights';

/** A graph of the update, and the weights that it is for. */
interface Part {
  readonly parameters: readonly Parameter[];
  build(): Record<string, Value>;
}

/**
 * The graphs of an update: one for all weights of a rate and a decay, a piece at a time, where the optimizer is
 * elementwise, else one for some whole weights.
 */
export function partsOf(
  parameters: readonly Parameter[],
  optimizer: Optimizer,
  options: UpdateOptions,
): Part[] {
  if (!optimizer.elementwise)
    return neighbours(parameters).map((group) => ({
      parameters: group,
      build: () => updateGraph(group, optimizer, options),
    }));
  const { rateScale = () => 1 } = options;
  const alike = new Map<string, Parameter[]>();
  for (const parameter of parameters) {
    const key = `${rateScale(parameter.name)} ${decayOf(parameter, options)}`;
    alike.set(key, [...(alike.get(key) ?? []), parameter]);
  }
  return [...alike.values()].map((group) => ({
    parameters: group,
    build: () =>
      updateGraph([{ name: swept, shape: [pieceOf(group)] }], optimizer, {
        weightDecay: decayOf(group[0], options),
        decayVectors: true,
        rateScale: () => rateScale(group[0].name),
        ema: options.ema === true,
      }),
  }));
}

/** Adds the slots `part.<name>` to `grad.<name>`. */
export async function addParts(sessions: Sessions, parameters: readonly Parameter[]): Promise<void> {
  const session = await sessions.sweepOf('sum', () => sumGraph(pieceOf(parameters)));
  const slots = (prefix: string) => parameters.map(({ name }) => prefix + name);
  await sessions.executor.sweep(session, {
    feeds: {},
    from: { gradient: slots('grad.'), part: slots('part.') },
    to: { sum: slots('grad.') },
    fetch: [],
  });
}

export class Update {
  private readonly optimizer: Optimizer;
  private readonly parts: readonly Part[];

  constructor(
    private readonly sessions: Sessions,
    private readonly parameters: readonly Parameter[],
    private readonly spec: Pick<TrainSpec, 'optimizer' | 'ema'>,
    options: Pick<UpdateOptions, 'rateScale' | 'decayVectors'> = {},
  ) {
    this.optimizer = optimizerOf(spec.optimizer);
    const { weightDecay } = spec.optimizer;
    this.parts = partsOf(parameters, this.optimizer, {
      ...options,
      weightDecay,
      ema: spec.ema !== undefined,
    });
  }

  /** Whether weights and state are swept, a piece at a time. */
  get sweeps(): boolean {
    return this.optimizer.elementwise;
  }

  /** Slots of the optimizer's state and of the moving average, which starts as the weights. */
  slots(): { name: string; shape: readonly number[]; copyOf?: string }[] {
    return this.parameters.flatMap((parameter) => [
      ...Object.entries(this.optimizer.state(parameter)).map(([part, shape]) => ({
        name: `${part}.${parameter.name}`,
        shape,
      })),
      ...(this.spec.ema === undefined
        ? []
        : [{ name: `ema.${parameter.name}`, shape: parameter.shape, copyOf: parameter.name }]),
    ]);
  }

  /** Fills the slots, from a checkpoint's tensors where there are some; the weights are in theirs. */
  async begin(resumed: ReadonlyMap<string, HostTensor> | undefined): Promise<void> {
    const { executor } = this.sessions;
    for (const { name, shape, copyOf } of this.slots()) {
      const initial =
        resumed?.get(name) ??
        (copyOf === undefined ? float32(shape, new Float32Array(sizeOf(shape))) : await executor.get(copyOf));
      await executor.put(name, initial, { move: true, shared: this.sweeps });
    }
  }

  /** Of the gradient in the slots `grad.<name>`. */
  async norm(): Promise<number> {
    const session = await this.sessions.sweepOf('squares', () => squaresGraph(pieceOf(this.parameters)));
    const { squares } = await this.sessions.executor.sweep(session, {
      feeds: {},
      from: { gradient: this.parameters.map(({ name }) => `grad.${name}`) },
      to: {},
      fetch: ['squares'],
    });
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  }

  /** Changes the weights: `update` counts from 1, `norm` is the gradient's in the slots, which `scale` times the real one's. */
  async apply({
    update,
    rate,
    norm,
    scale,
  }: {
    update: number;
    rate: number;
    norm: number;
    scale: number;
  }): Promise<void> {
    const { ema, optimizer } = this.spec;
    const values = {
      rate,
      factor: clipFactor(norm / scale, optimizer.clipNorm) / scale,
      // As PyTorch's averaged models: the first update's weights are the first average.
      ...(ema === undefined ? {} : { decay: update === 1 ? 0 : ema }),
      ...this.optimizer.scalars(update),
    };
    const feedsOf = ({ model }: Session) =>
      Object.fromEntries(
        Object.entries(values)
          .filter(([name]) => name in model.inputs)
          .map(([name, value]) => [name, float32([], [value])]),
      );
    const nextOf = ({ model }: Session) =>
      Object.keys(model.outputs).map((name) => [name, name.slice('next.'.length)]);
    for (const [i, { parameters, build }] of this.parts.entries()) {
      if (!this.sweeps) {
        const session = await this.sessions.of(`update ${i}`, build);
        const to = Object.fromEntries(nextOf(session));
        await this.sessions.run(session, { feeds: feedsOf(session), to, fetch: [] });
        continue;
      }
      const session = await this.sessions.sweepOf(`update ${i}`, build);
      const feeds = feedsOf(session);
      const slots = (name: string) =>
        parameters.map((parameter) => name.slice(0, name.length - swept.length) + parameter.name);
      const read = Object.keys(session.model.inputs).filter((name) => !(name in feeds));
      await this.sessions.executor.sweep(session, {
        feeds,
        from: Object.fromEntries(read.map((name) => [name, slots(name)])),
        to: Object.fromEntries(nextOf(session).map(([name, slot]) => [name, slots(slot)])),
        fetch: [],
      });
    }
  }
}
