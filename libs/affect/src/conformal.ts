/**
 * Split-conformal prediction: how far answers have to reach to hold the gold with a given probability, whatever the model
 * (Vovk, Gammerman and Shafer 2005; finite samples as in Angelopoulos and Bates 2023, section 1).
 */

/** The share of golds that intervals and sets are made to hold. */
export const coverage = 0.8;

/** The ⌈(n + 1) share⌉-th smallest score; `most` where that is beyond the last. */
export function conformalQuantile(scores: readonly number[], most: number, share = coverage): number {
  const rank = Math.ceil((scores.length + 1) * share - 1e-9);
  return rank > scores.length ? most : [...scores].sort((a, b) => a - b)[rank - 1];
}

/** How far a gold lies outside of an interval, negative inside (conformalised quantile regression, Romano et al. 2019). */
export function overshoot([low, high]: readonly [number, number], gold: number): number {
  return Math.max(low - gold, gold - high);
}

/** The interval with `margin` more on either side, on 0..1; it holds `value`. */
export function widened(
  [low, high]: readonly [number, number],
  margin: number,
  value: number,
): [low: number, high: number] {
  return [Math.max(0, Math.min(value, low - margin)), Math.min(1, Math.max(value, high + margin))];
}

interface Probable {
  readonly label: string;
  readonly probability: number;
}

/**
 * For each label the share of probability of all that are at least as probable (adaptive prediction sets, Romano, Sesia and
 * Candès 2020, without chance): the most probable first, the alphabet among equals.
 */
function reached(marginals: readonly Probable[]): (Probable & { readonly mass: number })[] {
  const total = marginals.reduce((sum, { probability }) => sum + probability, 0);
  let mass = 0;
  return [...marginals]
    .sort((a, b) => b.probability - a.probability || (a.label < b.label ? -1 : 1))
    .map((marginal) => {
      mass += marginal.probability / total;
      return { ...marginal, mass: Math.min(1, mass) };
    });
}

/** What of the probability has to be reached to hold every gold label; 1 where one is no candidate. */
export function massToHold(marginals: readonly Probable[], gold: readonly string[]): number {
  const ranked = reached(marginals);
  return gold.reduce((most, label) => Math.max(most, ranked.find((r) => r.label === label)?.mass ?? 1), 0);
}

/** The labels of which the golds are, in alphabetical order: the most probable one at least. */
export function labelsWithin(marginals: readonly Probable[], mass: number): string[] {
  return reached(marginals)
    .filter((ranked, i) => i === 0 || ranked.mass <= mass + 1e-12)
    .map(({ label }) => label)
    .sort();
}
