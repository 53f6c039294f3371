/** Monotone curves from what a model says to what was observed, both on 0..1: how numbers and confidences are calibrated. */
import { mean } from '@emotune/base';

export const curveMethods = ['none', 'linear', 'isotonic'] as const;

/** Straight lines between points with rising x; level before the first and after the last. */
export interface Curve {
  readonly method: (typeof curveMethods)[number];
  /** [k], rising, 0..1, one at least. */
  readonly x: readonly number[];
  /** [k], never falling, 0..1. */
  readonly y: readonly number[];
}

export const identity: Curve = { method: 'none', x: [0, 1], y: [0, 1] };

/** One answer, what was observed, and which folds it is held out with: that of its text. */
export interface Observation {
  readonly x: number;
  readonly y: number;
  /** 0 … `curveFolds` − 1. */
  readonly fold: number;
}

/** Folds on which a curve is chosen. */
export const curveFolds = 5;

const clip = (p: number) => Math.min(1, Math.max(0, p));

export function valueAt({ x, y }: Curve, at: number): number {
  const above = x.findIndex((knot) => knot >= at);
  if (above === 0) return y[0];
  if (above < 0) return y[y.length - 1];
  const share = (at - x[above - 1]) / (x[above] - x[above - 1]);
  return y[above - 1] + share * (y[above] - y[above - 1]);
}

/** Least squares; level at the mean where it would fall. */
export function linearCurve(points: readonly Pick<Observation, 'x' | 'y'>[]): Curve {
  const [mx, my] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const sxx = points.reduce((sum, { x }) => sum + (x - mx) ** 2, 0);
  const sxy = points.reduce((sum, { x, y }) => sum + (x - mx) * (y - my), 0);
  const slope = sxx > 0 ? Math.max(0, sxy / sxx) : 0;
  const line = (x: number) => my + slope * (x - mx);
  // Where it leaves 0..1 it goes on level.
  const bends = slope > 0 ? [0, 1].map((y) => mx + (y - my) / slope).filter((x) => x > 0 && x < 1) : [];
  const x = [0, ...bends, 1];
  return { method: 'linear', x, y: x.map((at) => clip(line(at))) };
}

/**
 * Pool adjacent violators (Ayer et al. 1955; Barlow et al. 1972), the blocks at the means of their x, with straight lines
 * between them (centred isotonic regression, Oron and Flournoy 2017).
 */
export function isotonicCurve(points: readonly Pick<Observation, 'x' | 'y'>[]): Curve {
  const blocks: { x: number; y: number; n: number }[] = [];
  for (const { x, y } of [...points].sort((a, b) => a.x - b.x)) {
    let block = { x, y, n: 1 };
    const pool = (other: typeof block) => {
      const n = block.n + other.n;
      const pooled = (a: number, b: number) => (a * other.n + b * block.n) / n;
      block = { x: pooled(other.x, block.x), y: pooled(other.y, block.y), n };
    };
    // Equal x have one value.
    while (
      blocks.length > 0 &&
      (blocks[blocks.length - 1].y >= block.y || blocks[blocks.length - 1].x >= block.x)
    )
      pool(blocks.pop()!);
    blocks.push(block);
  }
  return { method: 'isotonic', x: blocks.map(({ x }) => x), y: blocks.map(({ y }) => clip(y)) };
}

const fits = { none: () => identity, linear: linearCurve, isotonic: isotonicCurve };

export interface Chosen {
  /** Fitted on all observations. */
  readonly curve: Curve;
  /** What the curve of the other folds says to each observation, in their order. */
  readonly held: readonly number[];
}

/** Whether errors are smaller by more than the standard error of their difference, so that few rows choose a simple curve. */
function smaller(errors: readonly number[], than: readonly number[]): boolean {
  const gains = errors.map((error, i) => than[i] - error);
  const gain = mean(gains);
  const variance = mean(gains.map((each) => (each - gain) ** 2));
  return gain > Math.sqrt(variance / gains.length);
}

/**
 * The curve with the least squared error on held-out folds, a simpler one where it is not worse by a standard error (Breiman et
 * al. 1984, section 3.4.3). One observation at least.
 */
export function chooseCurve(observations: readonly Observation[]): Chosen {
  let best: { readonly chosen: Chosen; readonly errors: readonly number[] } | undefined;
  for (const method of curveMethods) {
    const held = observations.map(() => 0);
    for (let fold = 0; fold < curveFolds; fold++) {
      const others = observations.filter((o) => o.fold !== fold);
      if (others.length === 0) continue;
      const curve = fits[method](others);
      observations.forEach((o, i) => {
        if (o.fold === fold) held[i] = valueAt(curve, o.x);
      });
    }
    const errors = observations.map(({ y }, i) => (y - held[i]) ** 2);
    if (!best || smaller(errors, best.errors))
      best = { chosen: { curve: fits[method](observations), held }, errors };
  }
  return best!.chosen;
}
