/** Order by several objectives, all minimised: Deb, Pratap, Agarwal, Meyarivan 2002 (NSGA-II), sections III and IV. */
import { compareMeasured, objectivesOf, type TrialRecord, violationOf } from './history.js';

/** Pareto dominance of minimised values; with one objective: smaller. NaN neither dominates nor is dominated. */
export function dominates(a: readonly number[], b: readonly number[]): boolean {
  let better = false;
  for (let m = 0; m < a.length; m++) {
    if (!(a[m] <= b[m])) return false;
    if (a[m] < b[m]) better = true;
  }
  return better;
}

/** Room around each point along its front (section III-B); the ends of every objective have infinitely much. */
function crowdingDistances(points: readonly (readonly number[])[]): Float64Array {
  const distance = new Float64Array(points.length);
  for (let m = 0; m < points[0].length; m++) {
    const order = points.map((_, i) => i).sort((i, j) => points[i][m] - points[j][m] || i - j);
    const width = points[order[order.length - 1]][m] - points[order[0]][m];
    distance[order[0]] = Infinity;
    distance[order[order.length - 1]] = Infinity;
    if (width > 0)
      for (let i = 1; i + 1 < order.length; i++)
        distance[order[i]] += points[order[i + 1]][m] / width - points[order[i - 1]][m] / width;
  }
  return distance;
}

function lexicographic(a: readonly number[], b: readonly number[]): number {
  for (let m = 0; m < a.length; m++) if (a[m] !== b[m]) return a[m] < b[m] ? -1 : 1;
  return 0;
}

/**
 * The first fronts of mutually non-dominated points that hold `wanted` of them, best first, as indices. Equal points share
 * a front. In lexicographic order only earlier points dominate, and if any does, then one of the front: O(n · size) a front.
 */
export function frontsOf(points: readonly (readonly number[])[], wanted: number): number[][] {
  let left = points.map((_, i) => i).sort((i, j) => lexicographic(points[i], points[j]) || i - j);
  const fronts: number[][] = [];
  for (let found = 0; left.length > 0 && found < wanted; ) {
    const front: number[] = [];
    const rest: number[] = [];
    for (const i of left) (front.some((j) => dominates(points[j], points[i])) ? rest : front).push(i);
    left = rest;
    fronts.push(front);
    found += front.length;
  }
  return fronts;
}

/**
 * The `count` best measured trials, best first. With one objective as `compareMeasured` has them; with several those
 * that keep to their constraints by front, within a front those with more room around them, then others by how much
 * they violate them.
 */
export function bestMeasured(measured: readonly TrialRecord[], count: number): TrialRecord[] {
  if (measured.every((record) => objectivesOf(record).length === 1))
    return [...measured].sort(compareMeasured).slice(0, count);
  const feasible = measured.filter((record) => violationOf(record) === 0);
  const points = feasible.map(objectivesOf);
  const best: TrialRecord[] = [];
  for (const front of frontsOf(points, count)) {
    const room = crowdingDistances(front.map((i) => points[i]));
    const order = front.map((_, k) => k).sort((a, b) => room[b] - room[a] || front[a] - front[b]);
    best.push(...order.map((k) => feasible[front[k]]));
  }
  if (best.length < count)
    best.push(
      ...measured
        .filter((record) => violationOf(record) > 0)
        .sort((a, b) => violationOf(a) - violationOf(b) || a.number - b.number),
    );
  return best.slice(0, count);
}
