/** The report's part on mistakes: what they have in common, and the hardest ones. */
import type { evaluation } from '@emotune/proto';
import { html, type Markup } from './markup.js';
import { count, number, pValue, table } from './report-parts.js';

/** Cues of an example that are shown. */
const shownCues = 6;

function clustersPart(clusters: readonly evaluation.HardCluster[]): Markup | undefined {
  if (clusters.length === 0) return undefined;
  return html`<h3>What mistakes have in common</h3>${table(
    ['Cues', 'Wrong as', 'Mistakes', 'of all with it', 'p', 'Confidence', 'Examples'],
    clusters.map(({ cues, direction, n, of, pValue: p, confidence, examples }) => [
      cues.join(', '),
      direction,
      count(n),
      count(of),
      pValue(p),
      number(confidence ?? undefined, 2),
      examples.map(({ text, id }) => html`<span class="example">${text}</span><span class="id">${id}</span>`),
    ]),
    'texts',
  )}<p class="note">Mistakes of one kind that texts with a cue have more often than others, those first of which the model was surest. p: hypergeometric, not corrected for the cues that were tried: where to look, not proof.</p>`;
}

/** @param hard the hardest first */
export function mistakesPart(
  clusters: readonly evaluation.HardCluster[],
  hard: readonly evaluation.HardExample[],
): Markup | undefined {
  if (hard.length === 0) return undefined;
  return html`${clustersPart(clusters)}<h3>Hardest examples</h3>${table(
    ['Text', 'Gold', 'Answer', 'Error', 'Confidence'],
    hard.map(({ text, id, gold, answer, error, confidence, cues }) => [
      html`${text}<span class="id">${id}${cues.length > 0 ? `: ${cues.slice(0, shownCues).join(', ')}` : ''}</span>`,
      gold,
      answer,
      number(error, 2),
      number(confidence ?? undefined, 2),
    ]),
    'texts',
  )}`;
}
