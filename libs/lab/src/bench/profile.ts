/** Where the time of a training step goes, by the kind of its graph's nodes. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Internal } from '@emotune/base';
import { median } from './timing.js';

export interface NodeKind {
  /** The operator, in ONNX' words. */
  readonly op: string;
  /** So many in the graph. */
  readonly nodes: number;
  /** The time in one step: the sum over nodes of their medians. */
  readonly milliseconds: number;
}

interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** The kinds of nodes of a step's graph, which was loaded first, the most expensive first. `folder`: what a `profile` wrote. */
export async function nodeKinds(folder: string): Promise<NodeKind[]> {
  const first = (await readdir(folder)).find((name) => name.startsWith('session-0_'));
  if (first === undefined) throw new Internal(`internal: no timings of a graph in ${folder}`);
  const events: TraceEvent[] = JSON.parse(await readFile(join(folder, first), 'utf8'));
  const nodes = new Map<string, { op: string; microseconds: number[] }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue;
    const node = nodes.get(name) ?? { op: args?.op_name ?? name, microseconds: [] };
    node.microseconds.push(dur);
    nodes.set(name, node);
  }
  const kinds = new Map<string, NodeKind>();
  for (const { op, microseconds } of nodes.values()) {
    const kind = kinds.get(op) ?? { op, nodes: 0, milliseconds: 0 };
    kinds.set(op, {
      op,
      nodes: kind.nodes + 1,
      milliseconds: kind.milliseconds + median(microseconds) / 1000,
    });
  }
  return [...kinds.values()].sort((p, q) => q.milliseconds - p.milliseconds);
}
