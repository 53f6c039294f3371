/** Studies as JSON and as text. */
import type { evaluation } from '@emotune/proto';
import { messageJson, shortEnumName } from '@emotune/service/spec';
import { clip, count, facts, figure, nothing, percent, table } from './text.js';

export function studyJson(study: evaluation.Study): unknown {
  return messageJson('emotune.evaluation.v1.Study', study);
}

function askedText({ comparison, scale, values, labels, multiLabel }: evaluation.StudyQuestion): string {
  if (comparison) return 'which of two answers is better';
  if (scale) return `${scale.low}..${scale.high}, ${values.length} answers`;
  return `${multiLabel ? 'some' : 'one'} of ${labels.join(', ')}`;
}

export function studyText(study: evaluation.Study): string {
  const { spec, question } = study;
  const top = facts([
    ['study', study.name],
    ['state', shortEnumName(study.state)],
    ['question', question?.question],
    ['answers', question && askedText(question)],
    ['items', `${count(study.items)} and ${count(study.attentionChecks)} attention checks`],
    ['judgements', count(study.judgements)],
    ['licence', spec?.licence],
  ]);
  const raters = study.raters.map(({ name, invited, consented, judgements }) => [
    name,
    invited ? 'by name' : 'by link',
    consented ? 'yes' : 'no',
    count(judgements),
  ]);
  return [
    top,
    raters.length > 0 ? table(['rater', 'invited', 'consent', 'judgements'], raters) : '',
    study.notices.map((notice) => `note: ${notice}`).join('\n'),
  ]
    .filter(Boolean)
    .join('\n\n');
}

export function studiesText(studies: readonly evaluation.Study[]): string {
  return table(
    ['name', 'state', 'items', 'raters', 'judgements'],
    studies.map(({ name, state, items, raters, judgements }) => [
      name,
      shortEnumName(state),
      count(items),
      count(raters.length),
      count(judgements),
    ]),
  );
}

export function linksText({ links }: evaluation.OpenStudyResponse): string {
  return table(
    ['rater', 'link'],
    links.map(({ rater, url, token }) => [rater || '(anybody)', url || `(no page) token ${token}`]),
  );
}

function between(interval: { readonly low: number; readonly high: number } | null | undefined): string {
  return interval ? `${figure(interval.low)} … ${figure(interval.high)}` : nothing;
}

function preferencesText(preferences: evaluation.Preferences): string {
  const { first, second, both, neither, itemsFirst, itemsSecond, itemsDrawn } = preferences;
  return [
    table(
      ['', 'first better', 'second better', 'both', 'neither', 'drawn'],
      [
        ['judgements', count(first), count(second), count(both), count(neither), nothing],
        ['items', count(itemsFirst), count(itemsSecond), nothing, nothing, count(itemsDrawn)],
      ],
    ),
    facts([
      ['first', preferences.firstModel],
      ['second', preferences.secondModel],
      [
        'first wins',
        preferences.winRate === undefined
          ? nothing
          : `${percent(preferences.winRate)} of the items that one of them wins (95 %: ${between(preferences.confidence)})`,
      ],
      ['p', `${figure(preferences.pValue)} (sign test, two-sided)`],
    ]),
  ].join('\n\n');
}

export function reportText(report: evaluation.StudyReport): string {
  const parts = [
    facts([
      ['study', report.name],
      ['judged', `${count(report.items)} items, ${count(report.judgements)} judgements`],
      [
        'failed',
        report.failedRaters === 0
          ? undefined
          : `${count(report.failedRaters)} of ${count(report.raters.length)} raters failed their attention checks` +
            (report.excludedRaters > 0
              ? `: left out with ${count(report.excludedJudgements)} judgements`
              : '; --exclude-failed leaves them out'),
      ],
    ]),
    table(
      ['alpha of', 'items', 'judgements', 'nominal', 'ordinal', 'interval', '95 %'],
      report.agreement.map((agreement) => [
        agreement.label || 'answers',
        count(agreement.items),
        count(agreement.judgements),
        figure(agreement.nominal),
        figure(agreement.ordinal),
        figure(agreement.interval),
        between(agreement.confidence),
      ]),
    ),
    table(
      ['rater', 'judgements', 'with the others', 'checks', 'seconds', ''],
      report.raters.map((rater) => [
        rater.name,
        count(rater.judgements),
        figure(rater.agreement),
        rater.checks === 0 ? nothing : `${rater.checksPassed} of ${rater.checks}`,
        figure(rater.medianSeconds),
        rater.failed ? 'failed' : '',
      ]),
    ),
  ];
  if (report.model) {
    const { metric, model, raters, panel, n } = report.model;
    parts.push(
      table(
        [metric, 'beside the others', 'beside all'],
        [
          ['a rater', figure(raters), nothing],
          ['the model', figure(model), figure(panel)],
        ],
      ),
      `beside the others: each of ${n} raters in turn left out, means`,
    );
  }
  if (report.preferences) parts.push(preferencesText(report.preferences));
  return parts.join('\n\n');
}

const columns: readonly (readonly [string, (one: evaluation.Judgement, study: string) => string])[] = [
  ['study', (_, study) => study],
  ['item', ({ item }) => `${item}`],
  ['id', ({ example }) => example],
  ['text', ({ text }) => text],
  ['emotion', ({ emotion }) => emotion],
  ['rater', ({ rater }) => rater],
  ['answer', ({ answer }) => answerText(answer!)],
  ['seconds', ({ seconds }) => seconds.toFixed(3)],
  [
    'judged_at',
    ({ judgeTime }) =>
      judgeTime ? new Date(1000 * judgeTime.seconds + judgeTime.nanos / 1e6).toISOString() : '',
  ],
  ['check', ({ check }) => (check ? 'yes' : '')],
  ['passed', ({ check, passed }) => (check ? (passed ? 'yes' : 'no') : '')],
  ['revisions', ({ revisions }) => `${revisions}`],
];

function answerText({ value, labels, preference }: evaluation.StudyAnswer): string {
  if (value !== undefined && value !== null) return `${value}`;
  return labels.length > 0 ? labels.join('|') : shortEnumName(preference);
}

/** A cell as RFC 4180 has it. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Judgements as CSV, with a header. */
export function judgementsCsv(study: string, judgements: readonly evaluation.Judgement[]): string {
  const lines = [
    columns.map(([name]) => name),
    ...judgements.map((one) => columns.map(([, read]) => read(one, study))),
  ];
  return lines.map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

export function exportText(written: readonly { readonly path: string; readonly what: string }[]): string {
  return written.map(({ path, what }) => `${clip(what, 200)} in ${path}`).join('\n');
}
