/** Small plots as SVG: no script, colours from the page's style. Lengths are SVG units. */
import { type Content, html, type Markup } from './markup.js';

export interface Range {
  readonly min: number;
  readonly max: number;
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly axes: Markup;
}

const margin = { left: 48, right: 14, top: 12, bottom: 38 };

/** About `count` round numbers that span the range: 1, 2 or 5 times a power of ten apart. */
export function ticks({ min, max }: Range, count = 5): number[] {
  if (!(max > min)) return [min];
  const rough = (max - min) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9))!;
  const first = Math.ceil(min / step - 1e-9);
  const last = Math.floor(max / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** 12,000 → 12k. */
function tickLabel(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${value / 1e6}M`;
  if (size >= 1e4) return `${value / 1e3}k`;
  return String(value);
}

export function rangeOf(values: readonly number[], padding: number): Range {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  if (!(max >= min)) return { min: 0, max: 1 };
  const room = max > min ? (max - min) * padding : Math.max(Math.abs(max) * 0.1, 0.5);
  return { min: min - room, max: max + room };
}

export function f(value: number): string {
  return value.toFixed(1);
}

export function frame(
  width: number,
  height: number,
  xs: Range,
  ys: Range,
  labels: {
    readonly x: string;
    readonly y: string;
    readonly wholeX?: boolean;
    readonly tick?: (x: number) => string;
  },
): Frame {
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const x = (value: number) => margin.left + ((value - xs.min) / (xs.max - xs.min)) * (right - margin.left);
  const y = (value: number) => bottom - ((value - ys.min) / (ys.max - ys.min)) * (bottom - margin.top);
  const xTicks = ticks(xs).filter((t) => !labels.wholeX || Number.isInteger(t));
  const axes = html`${ticks(ys).map(
    (t) =>
      html`<line class="grid" x1="${margin.left}" x2="${right}" y1="${f(y(t))}" y2="${f(y(t))}"/><text class="tick" x="${margin.left - 6}" y="${f(y(t) + 3.5)}" text-anchor="end">${tickLabel(t)}</text>`,
  )}${xTicks.map(
    (t) =>
      html`<text class="tick" x="${f(x(t))}" y="${bottom + 14}" text-anchor="middle">${(labels.tick ?? tickLabel)(t)}</text>`,
  )}<line class="axis" x1="${margin.left}" x2="${right}" y1="${bottom}" y2="${bottom}"/><text class="label" x="${f((margin.left + right) / 2)}" y="${height - 6}" text-anchor="middle">${labels.x}</text><text class="label" text-anchor="middle" transform="translate(12 ${f((margin.top + bottom) / 2)}) rotate(-90)">${labels.y}</text>`;
  return { width, height, x, y, axes };
}

export function svg({ width, height }: Frame, title: string, content: Content): Markup {
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}">${content}</svg>`;
}

export function path(frame: Frame, points: readonly { readonly x: number; readonly y: number }[]): string {
  return points.map((p, i) => `${i ? 'L' : 'M'}${f(frame.x(p.x))} ${f(frame.y(p.y))}`).join('');
}

/** Reliability diagram on 0..1: points on the diagonal are calibrated, their area tells how many rows. */
export function calibrationPlot(
  bins: readonly { readonly predicted: number; readonly observed: number; readonly n: number }[],
  labels: { readonly x: string; readonly y: string },
): Markup {
  const unit = { min: 0, max: 1 };
  const box = frame(260, 240, unit, unit, labels);
  const most = bins.reduce((top, bin) => Math.max(top, bin.n), 1);
  const points = bins.map((bin) => ({ x: bin.predicted, y: bin.observed }));
  return svg(box, `Calibration: ${labels.x} against ${labels.y}`, [
    box.axes,
    html`<path class="guide" d="${path(box, [
      { x: 0, y: 0 },
      { x: 1, y: 1 },
    ])}"/>`,
    html`<path class="line c0" d="${path(box, points)}"/>`,
    bins.map(
      (bin) =>
        html`<circle class="dot c0" cx="${f(box.x(bin.predicted))}" cy="${f(box.y(bin.observed))}" r="${f(2.5 + 5 * Math.sqrt(bin.n / most))}"><title>${bin.predicted.toFixed(2)} → ${bin.observed.toFixed(2)}, ${bin.n} rows</title></circle>`,
    ),
  ]);
}

export interface TrialPoint {
  readonly number: number;
  readonly series: string;
  /** Absent for a trial that failed. */
  readonly objective: number | undefined;
  readonly note: string;
}

/** Which of the six colours a series has. */
function colour(series: string, all: readonly string[]): string {
  return `c${all.indexOf(series) % 6}`;
}

function legend(names: readonly string[]): Markup {
  return html`<p class="legend">${names.map(
    (name) => html`<span><i class="${colour(name, names)}"></i>${name}</span>`,
  )}</p>`;
}

/** Objective by trial with the best so far; failed trials are crosses below. */
export function historyPlot(trials: readonly TrialPoint[]): Markup {
  const all = [...new Set(trials.map((t) => t.series))].sort();
  const measured = trials.filter((t) => t.objective !== undefined);
  const numbers = trials.map((t) => t.number);
  const box = frame(
    760,
    260,
    { min: Math.min(...numbers) - 0.5, max: Math.max(...numbers) + 0.5 },
    rangeOf(
      measured.map((t) => t.objective!),
      0.08,
    ),
    { x: 'trial', y: 'objective (nats)', wholeX: true },
  );
  let best = Number.POSITIVE_INFINITY;
  const steps = measured.flatMap(({ number, objective }) => {
    const before = best;
    best = Math.min(best, objective!);
    return Number.isFinite(before) && best < before
      ? [
          { x: number, y: before },
          { x: number, y: best },
        ]
      : [{ x: number, y: best }];
  });
  const floor = box.height - margin.bottom - 8;
  return html`${legend(all)}${svg(box, 'Objective by trial', [
    box.axes,
    html`<path class="guide" d="${path(box, steps)}"/>`,
    trials.map((t) => {
      const at = f(box.x(t.number));
      return t.objective === undefined
        ? html`<text class="cross" x="${at}" y="${f(floor)}" text-anchor="middle">×<title>${t.note}</title></text>`
        : html`<circle class="dot ${colour(t.series, all)}" cx="${at}" cy="${f(box.y(t.objective))}" r="5"><title>${t.note}</title></circle>`;
    }),
  ])}`;
}

export interface Curve {
  readonly name: string;
  readonly series: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const longestCurve = 200;

function thinned<T>(points: readonly T[]): T[] {
  const every = Math.ceil(points.length / longestCurve);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

/** Lines over tokens, one a trial, coloured by series; `all` keeps colours the same between plots. */
export function curvePlot(curves: readonly Curve[], y: string, all: readonly string[]): Markup {
  const points = curves.flatMap((c) => c.points);
  const box = frame(
    420,
    260,
    {
      min: 0,
      max: Math.max(
        1,
        points.reduce((top, p) => Math.max(top, p.x), 0),
      ),
    },
    rangeOf(
      points.map((p) => p.y),
      0.05,
    ),
    { x: 'tokens', y },
  );
  return svg(box, `${y} by tokens`, [
    box.axes,
    curves.map((curve) =>
      curve.points.length === 1
        ? html`<circle class="dot ${colour(curve.series, all)}" cx="${f(box.x(curve.points[0].x))}" cy="${f(box.y(curve.points[0].y))}" r="3"><title>${curve.name}</title></circle>`
        : html`<path class="line ${colour(curve.series, all)}" d="${path(box, thinned(curve.points))}"><title>${curve.name}</title></path>`,
    ),
  ]);
}

/** Colours of series for plots that stand beside each other. */
export function curveLegend(all: readonly string[]): Markup {
  return legend(all);
}
