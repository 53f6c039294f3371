/** The optimizer of a run: its state in slots, and the graphs that change them. */
import {
  type ExecutorMemory,
  float32,
  type GraphMemory,
  type HostTensor,
  type Outputs,
  type Program,
  type SweepGraph,
} from '@emotune/engine';
import { sizeOf } from '@emotune/graph';
import { type Parameter, slotNames } from '@emotune/models';
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

/** Weights of one graph that reads them whole: while it runs, theirs are there twice. */
const graphElements = 2 ** 24;

const elementsOf = (parameters: readonly Parameter[]) =>
  parameters.reduce((n, { shape }) => n + sizeOf(shape), 0);

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

/** A graph of the update, and the weights that it is for: whole, or one after another in a sweep. */
type Part = { readonly parameters: readonly Parameter[] } & (
  | { readonly whole: () => Outputs }
  | { readonly sweep: SweepGraph }
);

/** What a part takes of memory. */
export function memoryOf(part: Part, memory: ExecutorMemory): GraphMemory {
  return 'whole' in part ? memory.of(part.whole()) : memory.ofSweep(part.sweep, elementsOf(part.parameters));
}

/**
 * The graphs of an update: one that sweeps over all weights of a rate and a decay where the optimizer is elementwise, else
 * one for some whole weights.
 */
export function partsOf(
  parameters: readonly Parameter[],
  optimizer: Optimizer,
  options: UpdateOptions,
): Part[] {
  if (!optimizer.elementwise)
    return neighbours(parameters).map((group) => ({
      parameters: group,
      whole: () => updateGraph(group, optimizer, options),
    }));
  const { rateScale = () => 1 } = options;
  const alike = Map.groupBy(
    parameters,
    (parameter) => `${rateScale(parameter.name)} ${decayOf(parameter, options)}`,
  );
  return [...alike.values()].map((group) => ({
    parameters: group,
    sweep: (n) =>
      updateGraph([{ name: swept, shape: [n] }], optimizer, {
        weightDecay: decayOf(group[0], options),
        decayVectors: true,
        rateScale: () => rateScale(group[0].name),
        ema: options.ema === true,
      }),
  }));
}

/** Adds the gradients of one more micro-batch to those of the others. */
export async function addParts(sessions: Sessions, parameters: readonly Parameter[]): Promise<void> {
  const program = await sessions.sweepOf('sum', sumGraph, elementsOf(parameters));
  const names = parameters.map(({ name }) => name);
  const gradients = names.map(slotNames.gradient);
  await sessions.executor.sweep(program, {
    feeds: {},
    from: { gradient: gradients, part: names.map(slotNames.part) },
    to: { sum: gradients },
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

  /** What an update changes, the weight first. */
  private changed(parameter: Parameter): string[] {
    const { name } = parameter;
    const state = Object.keys(this.optimizer.state(parameter)).map((part) => slotNames.state(part, name));
    return [name, ...state, ...(this.spec.ema === undefined ? [] : [slotNames.average(name)])];
  }

  /** Slots of the optimizer's state and of the moving average, which starts as the weights. */
  slots(): { name: string; shape: readonly number[]; copyOf?: string }[] {
    return this.parameters.flatMap((parameter) => [
      ...Object.entries(this.optimizer.state(parameter)).map(([part, shape]) => ({
        name: slotNames.state(part, parameter.name),
        shape,
      })),
      ...(this.spec.ema === undefined
        ? []
        : [{ name: slotNames.average(parameter.name), shape: parameter.shape, copyOf: parameter.name }]),
    ]);
  }

  /** Fills the slots, from a checkpoint's tensors where there are some; the weights are in theirs. */
  async begin(resumed: ReadonlyMap<string, HostTensor> | undefined): Promise<void> {
    const { executor } = this.sessions;
    for (const { name, shape, copyOf } of this.slots()) {
      const initial =
        resumed?.get(name) ??
        (copyOf === undefined ? float32(shape, new Float32Array(sizeOf(shape))) : await executor.get(copyOf));
      await executor.put(name, initial, { move: true, swept: this.sweeps });
    }
  }

  /** The global norm of the gradient in its slots. */
  async norm(): Promise<number> {
    const program = await this.sessions.sweepOf('squares', squaresGraph, elementsOf(this.parameters));
    const { squares } = await this.sessions.executor.sweep(program, {
      feeds: {},
      from: { gradient: this.parameters.map(({ name }) => slotNames.gradient(name)) },
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
    const feedsOf = ({ inputs }: Program) =>
      Object.fromEntries(
        Object.entries(values)
          .filter(([name]) => name in inputs)
          .map(([name, value]) => [name, float32([], [value])]),
      );
    for (const [i, part] of this.parts.entries()) {
      if ('whole' in part) {
        const program = await this.sessions.of(`update ${i}`, part.whole);
        const changed = part.parameters.flatMap((parameter) => this.changed(parameter));
        const to = Object.fromEntries(changed.map((slot) => [slotNames.next(slot), slot]));
        await this.sessions.run(program, { feeds: feedsOf(program), to, fetch: [] });
        continue;
      }
      const { parameters, sweep } = part;
      const program = await this.sessions.sweepOf(`update ${i}`, sweep, elementsOf(parameters));
      // What the graph calls each slot of the one vector that it sees, and those of the weights in its place.
      const all = parameters.map((parameter) => this.changed(parameter));
      const changed = this.changed({ name: swept, shape: [] }).map(
        (name, slot) => [name, all.map((own) => own[slot])] as const,
      );
      const gradients = parameters.map(({ name }) => slotNames.gradient(name));
      await this.sessions.executor.sweep(program, {
        feeds: feedsOf(program),
        from: { ...Object.fromEntries(changed), [slotNames.gradient(swept)]: gradients },
        to: Object.fromEntries(changed.map(([name, slots]) => [slotNames.next(name), slots])),
        fetch: [],
      });
    }
  }
}
