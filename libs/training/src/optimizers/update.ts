/** The optimizer of a run: its state in slots, and the graphs that change them. */
import { type Executor, float32, type HostTensor } from '@emotune/engine';
import { sizeOf } from '@emotune/graph';
import type { Parameter } from '@emotune/models';
import type { Sessions } from '../sessions.js';
import type { TrainSpec } from '../spec.js';
import type { Optimizer } from './optimizer.js';
import { clipFactor, normGraph, optimizerOf, updateGraph } from './update-graph.js';

/** Weights of one graph: while it runs, theirs are there twice. */
const graphElements = 2 ** 24;

/** Neighbours together, as many as `graphElements` allows. */
export function groupsOf(parameters: readonly Parameter[]): Parameter[][] {
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

export class Update {
  private readonly optimizer: Optimizer;
  private readonly groups: readonly Parameter[][];

  constructor(
    private readonly sessions: Sessions,
    private readonly parameters: readonly Parameter[],
    private readonly spec: Pick<TrainSpec, 'optimizer' | 'ema'>,
    private readonly rateScale: (name: string) => number,
  ) {
    this.optimizer = optimizerOf(spec.optimizer);
    this.groups = groupsOf(parameters);
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
  async begin(executor: Executor, resumed: ReadonlyMap<string, HostTensor> | undefined): Promise<void> {
    for (const { name, shape, copyOf } of this.slots()) {
      const initial =
        resumed?.get(name) ??
        (copyOf === undefined ? float32(shape, new Float32Array(sizeOf(shape))) : await executor.get(copyOf));
      await executor.put(name, initial, { move: true });
    }
  }

  /** Of the gradient in the slots. */
  async norm(): Promise<number> {
    const session = await this.sessions.of('norm', () => normGraph(this.parameters));
    const { norm } = await this.sessions.run(session, { feeds: {}, fetch: ['norm'] });
    return norm.data[0] as number;
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
    const feeds = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, float32([], [value])]),
    );
    for (const [i, group] of this.groups.entries()) {
      const session = await this.sessions.of(`update ${i}`, () =>
        updateGraph(group, this.optimizer, {
          weightDecay: optimizer.weightDecay,
          rateScale: this.rateScale,
          ema: ema !== undefined,
        }),
      );
      const outputs = Object.keys(session.model.outputs);
      await this.sessions.run(session, {
        feeds: Object.fromEntries(Object.entries(feeds).filter(([name]) => name in session.model.inputs)),
        to: Object.fromEntries(outputs.map((name) => [name, name.slice('next.'.length)])),
        fetch: [],
      });
    }
  }
}
