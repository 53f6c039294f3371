/** Feature sets and lexicon cues as text. */
import type { common, featurization } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { count, facts, figure, nothing, percent, table } from './text.js';

export function cueJson({ text, lexicon, dimension, score, start, end, modifier }: common.Cue) {
  return { text, lexicon, dimension, score, start, end, ...(modifier === '' ? {} : { modifier }) };
}

export function explanationText({ cues, cueText, vader, afinn }: featurization.ExplainTextResponse): string {
  const sums = facts([
    ['in the prompt', cueText || nothing],
    ['VADER', `${figure(vader)} on -1..1`],
    ['AFINN', `${figure(afinn)} in sum`],
  ]);
  if (cues.length === 0) return `no lexicon knows a word of this text\n\n${sums}`;
  const found = table(
    ['cue', 'lexicon', 'of', 'score', 'modifier', 'at'],
    cues.map(({ text, lexicon, dimension, score, modifier, start, end }) => [
      text,
      lexicon,
      dimension,
      figure(score),
      modifier || nothing,
      `${start}..${end}`,
    ]),
  );
  return `${found}\n\n${sums}`;
}

export function featureSetText(set: featurization.FeatureSet): string {
  const head = facts([
    ['feature set', set.version === '' ? set.name : `${set.name}@${set.version}`],
    ['state', shortEnumName(set.state)],
    ['failure', set.failure],
    ['files', set.tokenized.map(({ prefix }) => prefix).join(', ')],
    ['dataset', [set.spec?.dataset, set.datasetVersion].filter(Boolean).join('@')],
  ]);
  if (set.tokenized.length === 0) return head;
  const shards = table(
    ['base models', 'split', 'rows', 'tokens', 'answer tokens', 'longest', 'cut'],
    set.tokenized.flatMap(({ baseModels, splits }) =>
      splits.map(({ split, rows, tokens, answerTokens, longest, cut }) => [
        baseModels.join(', '),
        split,
        ...[rows, tokens, answerTokens, longest, cut].map(count),
      ]),
    ),
  );
  const cuts = set.tokenized.flatMap(({ baseModels, splits }) => {
    const sum = (of: 'rows' | 'cut') => splits.reduce((total, split) => total + split[of], 0);
    if (sum('cut') === 0) return [];
    const share = `${count(sum('cut'))} of ${count(sum('rows'))} texts (${percent(sum('cut') / sum('rows'))})`;
    return [
      `note: for ${baseModels.join(', ')}, ${share} lose their end to fit; a higher maxTokens keeps it`,
    ];
  });
  return [head, shards, labelTable(set), madeTable(set), cuts.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

const trainSplit = ({ tokenized }: featurization.FeatureSet) =>
  tokenized[0]?.splits.find(({ split }) => split === 'train');

/** Labels of train rows that go in more or less often than they occur. */
function labelTable(set: featurization.FeatureSet): string {
  const changed = (trainSplit(set)?.labels ?? []).filter(({ available, chosen }) => available !== chosen);
  if (changed.length === 0) return '';
  return table(
    ['train labels', 'source', 'rows there', 'rows trained'],
    changed.map(({ label, source, available, chosen }) => [label, source, count(available), count(chosen)]),
  );
}

/** Train rows that were made from others. */
function madeTable(set: featurization.FeatureSet): string {
  const made = Object.entries(trainSplit(set)?.rowsByDerivation ?? {});
  if (made.length === 0) return '';
  return table(
    ['train rows made by', 'rows'],
    made.sort(([a], [b]) => (a < b ? -1 : 1)).map(([by, rows]) => [by, count(rows)]),
  );
}

const indented = (text: string) => text.replace(/^/gm, '  ');

/** The prompt as text, then the tokens of prompt and answer with ⏎ for the end of a line. */
export function featureExampleText(example: featurization.FeatureExample): string {
  const { id, task, source, prompt, answer, tokens, promptTokens, derivedFrom, derivedBy } = example;
  const spelt = tokens.map(({ text }) => text.replaceAll('\n', '⏎'));
  return [
    `${id} (${shortEnumName(task)}, ${source}): ${count(tokens.length)} tokens, ${count(tokens.length - promptTokens)} of the answer`,
    indented(prompt),
    facts([
      ['  made', derivedBy === '' ? '' : `from ${derivedFrom} by ${derivedBy}`],
      ['  answer', answer],
      ['  prompt tokens', spelt.slice(0, promptTokens).join(' ')],
      ['  answer tokens', spelt.slice(promptTokens).join(' ')],
    ]),
  ].join('\n');
}

export function featureSetsText(sets: readonly featurization.FeatureSet[]): string {
  return table(
    ['name', 'version', 'state', 'dataset', 'rows', 'tokens'],
    sets.map(({ name, version, state, spec, tokenized }) => {
      const splits = tokenized[0]?.splits ?? [];
      const sum = (of: 'rows' | 'tokens') =>
        tokenized.length === 0 ? nothing : count(splits.reduce((n, split) => n + split[of], 0));
      return [
        name,
        version || nothing,
        shortEnumName(state),
        spec?.dataset ?? nothing,
        sum('rows'),
        sum('tokens'),
      ];
    }),
  );
}
