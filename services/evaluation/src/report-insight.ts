/** The report's section on what the trials of the model's experiment teach. */
import type { PlainValue, tuning } from '@emotune/proto';
import { type EffectPlot, effectPlot, parallelPlot } from './insight-charts.js';
import { html, type Markup } from './markup.js';
import { count, number, parametersText, parameterText, pValue, table } from './report-parts.js';

const percent = (share: number) => `${number(100 * share, 1)} %`;

/** With fewer trials a forest mostly repeats where they happen to lie. */
const fewTrials = 20;

function importancePart({ importance, importanceMissing, interactions }: tuning.Insight): Markup {
  if (importance.length === 0) return html`<p class="note">${importanceMissing}</p>`;
  return html`<h3>Importance</h3><div class="beside">${table(
    ['Parameter', 'Alone (fANOVA)', 'Shuffled', 'Trials'],
    importance.map(({ parameter, fanova, permutation, trials }) => [
      parameter,
      percent(fanova),
      percent(permutation),
      count(trials),
    ]),
    'numbers',
  )}${
    interactions.length > 0
      ? table(
          ['Together', 'Share'],
          interactions.map(({ first, second, fanova }) => [`${first} × ${second}`, percent(fanova)]),
          'numbers',
        )
      : undefined
  }</div><p class="note">Alone: share of the objective's variance over the search space that the parameter explains by itself, by a forest over the trials. Shuffled: what the forest loses when it is shuffled among the trials, interactions included.${
    importance.some(({ trials }) => trials < fewTrials)
      ? html` <strong>Of fewer than ${fewTrials} trials: shares may well be chance.</strong>`
      : undefined
  }</p>`;
}

/** Values on the axis of one parameter: numbers, or indexes of the categories in the order in which they come. */
function effectOf(
  { parameter, log, points }: tuning.ParameterSlice,
  dependence: readonly tuning.DependencePoint[],
): EffectPlot {
  const values = [...dependence.map(({ value }) => value), ...points.map(({ value }) => value)];
  const numeric = values.every((value) => typeof value === 'number');
  const names = numeric ? undefined : [...new Set(values.map((value) => parameterText(value!)))];
  const x = (value: PlainValue | undefined) =>
    names ? names.indexOf(parameterText(value!)) : (value as number);
  return {
    parameter,
    log,
    categories: names,
    dependence: dependence.map(({ value, mean, standardDeviation }) => ({
      x: x(value),
      mean,
      deviation: standardDeviation,
    })),
    trials: points.map(({ trial, value, objective }) => ({ number: trial, x: x(value), objective })),
  };
}

function effectsPart({ slices, dependence }: tuning.Insight): Markup | undefined {
  const shown = slices.filter(({ points }) => points.length > 0);
  if (shown.length === 0) return undefined;
  const pointsOf = (name: string) => dependence.find(({ parameter }) => parameter === name)?.points ?? [];
  return html`<h3>Effect of each parameter</h3><div class="beside">${shown.map(
    (slice) => html`<figure>${effectPlot(effectOf(slice, pointsOf(slice.parameter)))}</figure>`,
  )}</div><p class="note">Dots: trials. Line: mean of the objective over all other parameters, with its spread between the trees of the forest.</p>`;
}

/** The best tenth of the lines, at least one, is marked. */
function parallelPart({ parallelCoordinates: found }: tuning.Insight): Markup | undefined {
  if (!found || found.axes.length === 0 || found.lines.length === 0) return undefined;
  const marked = found.lines.length - Math.ceil(found.lines.length / 10);
  const lines = found.lines.map(({ trial, objective, places }, i) => ({
    title: `trial ${trial}: ${number(objective)}`,
    places: places.map(({ place }) => place ?? undefined),
    marked: i >= marked,
  }));
  return html`<h3>Parallel coordinates</h3><figure>${parallelPlot('Trials over their parameters', found.axes, lines)}<figcaption>Each line is a trial, each axis the range of a parameter, lowest below; the best tenth in colour</figcaption></figure>`;
}

function frontPart({ front }: tuning.Insight): Markup | undefined {
  if (!front || front.objectives.length < 2) return undefined;
  const { objectives, points, hypervolume, reference } = front;
  const lows = objectives.map((_, m) =>
    points.reduce((low, { values }) => Math.min(low, values[m]), Infinity),
  );
  const lines = [...points]
    .sort((a, b) => Number(a.optimal) - Number(b.optimal))
    .map(({ trial, values, optimal }) => ({
      title: `trial ${trial}: ${values.map((value) => number(value)).join(', ')}`,
      places: values.map((value, m) =>
        reference[m] > lows[m] ? (value - lows[m]) / (reference[m] - lows[m]) : 0,
      ),
      marked: optimal,
    }));
  return html`<h3>Front over the subtasks</h3><figure>${parallelPlot('Trials over the subtasks', objectives, lines)}<figcaption>Objective of each subtask, best below; in colour what no other trial beats everywhere</figcaption></figure>${table(
    ['Trial', ...objectives],
    points
      .filter(({ optimal }) => optimal)
      .map(({ trial, values }) => [String(trial), ...values.map((value) => number(value))]),
    'numbers',
  )}<p class="note">Hypervolume ${hypervolume.toPrecision(4)} below the reference ${reference.map((value) => number(value)).join(', ')}.</p>`;
}

function leadPart({ best }: tuning.Insight): Markup | undefined {
  if (!best) return undefined;
  return html`<p>Trial ${best.best} leads trial ${best.runnerUp} by ${number(best.difference)} on average of the ${count(best.shared)} ${best.over || 'subtasks'} they share; p = ${pValue(best.p)} (signed ranks, one-sided; ${number(0.5 ** best.shared)} is the least that so few can give).</p>`;
}

/** What spoke most for a trial: values where good trials were denser than others, the strongest first. */
function evidenceText({ evidence }: tuning.SuggestionExplanation): string {
  return evidence
    .filter(({ logRatio }) => logRatio !== undefined && logRatio !== null && logRatio > 0)
    .sort((a, b) => b.logRatio! - a.logRatio!)
    .slice(0, 3)
    .map(
      ({ parameter, value, logRatio }) =>
        `${parameter} ${parameterText(value!)}: ×${number(Math.exp(logRatio!), 1)}`,
    )
    .join(', ');
}

function explanationsPart(explanations: readonly tuning.TrialExplanation[]): Markup | undefined {
  if (explanations.length === 0) return undefined;
  return html`<h3>Why the best trials were suggested, and how they ended</h3>${table(
    ['Trial', 'Parameters', 'Suggested', 'Good trials denser there', 'Ended', 'Behind'],
    explanations.map(({ trial, suggestion, end }) => [
      String(trial!.number),
      parametersText(trial!.parameters),
      suggestion!.reason,
      evidenceText(suggestion!),
      end!.reason,
      number(end!.behind ?? undefined),
    ]),
    'texts',
  )}`;
}

export function insightSection(
  insight: tuning.Insight | undefined,
  explanations: readonly tuning.TrialExplanation[],
): Markup | undefined {
  if (!insight || insight.history.length === 0) return undefined;
  return html`<section><h2>What the search teaches</h2>${leadPart(insight)}${importancePart(insight)}${effectsPart(insight)}${parallelPart(insight)}${frontPart(insight)}${explanationsPart(explanations)}</section>`;
}
