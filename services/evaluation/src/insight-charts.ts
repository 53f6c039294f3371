/** Plots of what the trials of an experiment teach. */
import { f, frame, path, rangeOf, svg } from './charts.js';
import { html, type Markup } from './markup.js';

export interface EffectPlot {
  readonly parameter: string;
  readonly log: boolean;
  /** Names of the values where they are no numbers, in their order on the axis. */
  readonly categories: readonly string[] | undefined;
  /** Values as numbers, or as indexes of `categories`. */
  readonly dependence: readonly { readonly x: number; readonly mean: number; readonly deviation: number }[];
  readonly trials: readonly { readonly number: number; readonly x: number; readonly objective: number }[];
}

/** Trials as dots over the values of one parameter, with the mean over all others as a line. */
export function effectPlot({ parameter, log, categories, dependence, trials }: EffectPlot): Markup {
  const place = (x: number) => (log ? Math.log10(x) : x);
  const line = dependence.map(({ x, mean, deviation }) => ({ x: place(x), y: mean, deviation }));
  const dots = trials.map(({ number, x, objective }) => ({ number, x: place(x), y: objective }));
  const box = frame(
    300,
    210,
    categories
      ? { min: -0.5, max: categories.length - 0.5 }
      : rangeOf(
          [...line, ...dots].map(({ x }) => x),
          0.04,
        ),
    rangeOf(
      [...line.flatMap(({ y, deviation }) => [y - deviation, y + deviation]), ...dots.map(({ y }) => y)],
      0.06,
    ),
    {
      x: parameter,
      y: 'objective',
      ...(categories ? { wholeX: true, tick: (t: number) => categories[t] ?? '' } : {}),
      ...(log ? { tick: (t: number) => String(Number((10 ** t).toPrecision(2))) } : {}),
    },
  );
  const upper = line.map(({ x, y, deviation }) => ({ x, y: y + deviation }));
  const lower = line.map(({ x, y, deviation }) => ({ x, y: y - deviation })).reverse();
  return svg(box, `Objective by ${parameter}`, [
    box.axes,
    line.length > 1 && !categories
      ? html`<path class="band" d="${path(box, [...upper, ...lower])}Z"/><path class="line c0" d="${path(box, line)}"/>`
      : line.map(
          ({ x, y }) =>
            html`<line class="line c0" x1="${f(box.x(x) - 14)}" x2="${f(box.x(x) + 14)}" y1="${f(box.y(y))}" y2="${f(box.y(y))}"/>`,
        ),
    dots.map(
      ({ number, x, y }) =>
        html`<circle class="dot c1" cx="${f(box.x(x))}" cy="${f(box.y(y))}" r="3"><title>trial ${number}: ${y.toPrecision(4)}</title></circle>`,
    ),
  ]);
}

export interface ParallelPlotLine {
  readonly title: string;
  /** From 0 to 1, one per axis; undefined where it has no such value. */
  readonly places: readonly (number | undefined)[];
  /** Drawn in colour. */
  readonly marked: boolean;
}

const size = { width: 760, height: 240, side: 60, top: 14, bottom: 40 };

/** Lines over parallel axes. An axis that a line has no place on interrupts it. */
export function parallelPlot(
  title: string,
  axes: readonly string[],
  lines: readonly ParallelPlotLine[],
): Markup {
  const x = (i: number) =>
    axes.length === 1 ? size.width / 2 : size.side + (i * (size.width - 2 * size.side)) / (axes.length - 1);
  const y = (place: number) => size.height - size.bottom - place * (size.height - size.top - size.bottom);
  const drawn = lines.map(({ title: name, places, marked }) => {
    const d = places
      .map((place, i) =>
        place === undefined
          ? ''
          : `${i > 0 && places[i - 1] !== undefined ? 'L' : 'M'}${f(x(i))} ${f(y(place))}`,
      )
      .join('');
    return html`<path class="line ${marked ? 'c1' : 'faint'}" d="${d}"><title>${name}</title></path>`;
  });
  return html`<svg viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img" aria-label="${title}">${axes.map(
    (name, i) =>
      html`<line class="axis" x1="${f(x(i))}" x2="${f(x(i))}" y1="${f(y(0))}" y2="${f(y(1))}"/><text class="label" x="${f(x(i))}" y="${size.height - (i % 2 ? 8 : 22)}" text-anchor="middle">${name}</text>`,
  )}${drawn}</svg>`;
}
