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
  const alike = new Map<string, Parameter[]>();
  for (const parameter of parameters) {
    const key = `${rateScale(parameter.name)} ${decayOf(parameter, options)}`;
    alike.set(key, [...(alike.get(key) ?? []), parameter]);
  }
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

/** Adds the slots `part.<name>` to `grad.<name>`. */
export async function addParts(sessions: Sessions, parameters: readonly Parameter[]): Promise<void> {
  const program = await sessions.sweepOf('sum', sumGraph, elementsOf(parameters));
  const slots = (prefix: string) => parameters.map(({ name }) => prefix + name);
  await sessions.executor.sweep(program, {
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
      await executor.put(name, initial, { move: true, swept: this.sweeps });
    }
  }

  /** The global norm of the gradient in the slots `grad.<name>`. */
  async norm(): Promise<number> {
    const program = await this.sessions.sweepOf('squares', squaresGraph, elementsOf(this.parameters));
    const { squares } = await this.sessions.executor.sweep(program, {
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
    const feedsOf = ({ inputs }: Program) =>
      Object.fromEntries(
        Object.entries(values)
          .filter(([name]) => name in inputs)
          .map(([name, value]) => [name, float32([], [value])]),
      );
    const nextOf = ({ outputs }: Program) =>
      Object.keys(outputs).map((name) => [name, name.slice('next.'.length)]);
    for (const [i, part] of this.parts.entries()) {
      if ('whole' in part) {
        const program = await this.sessions.of(`update ${i}`, part.whole);
        const to = Object.fromEntries(nextOf(program));
        await this.sessions.run(program, { feeds: feedsOf(program), to, fetch: [] });
        continue;
      }
      const { parameters, sweep } = part;
      const program = await this.sessions.sweepOf(`update ${i}`, sweep, elementsOf(parameters));
      const feeds = feedsOf(program);
      const slots = (name: string) =>
        parameters.map((parameter) => name.slice(0, name.length - swept.length) + parameter.name);
      const read = Object.keys(program.inputs).filter((name) => !(name in feeds));
      await this.sessions.executor.sweep(program, {
        feeds,
        from: Object.fromEntries(read.map((name) => [name, slots(name)])),
        to: Object.fromEntries(nextOf(program).map(([name, slot]) => [name, slots(slot)])),
        fetch: [],
      });
    }
  }
}
