/** Datasets, sources and examples, as JSON and as text. */
import type { common, data } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { clip, count, facts, figure, nothing, table } from './text.js';

const textColumns = 80;

/** The state in one word: pending, building, ready or failed. */
function buildState(state: common.BuildState): string {
  return shortEnumName(state);
}

export function datasetJson({ name, version, state, failure, manifest }: data.Dataset) {
  const { train, validation, test } = manifest?.rows ?? { train: 0, validation: 0, test: 0 };
  return {
    name,
    version,
    state: buildState(state),
    ...(failure === '' ? {} : { failure }),
    rows: { train, validation, test },
    sources: (manifest?.sources ?? []).map(({ name, licence, rows, url, sha256, skipped }) => ({
      name,
      licence,
      rows,
      url,
      sha256,
      skipped,
    })),
    tasks: (manifest?.tasks ?? []).map(({ task, rows, labels }) => ({
      task: shortEnumName(task),
      rows,
      ...(labels.length > 0 ? { labels: Object.fromEntries(labels.map((of) => [of.label, of.rows])) } : {}),
    })),
    duplicatesRemoved: manifest?.duplicatesRemoved ?? 0,
    leaksRemoved: manifest?.leaksRemoved ?? 0,
    conflicts: conflictsJson(manifest?.conflicts),
    notices: manifest?.notices ?? [],
  };
}

function conflictsJson(conflicts: data.Conflicts | undefined) {
  const { texts, rows, examples } = conflicts ?? { texts: 0, rows: 0, examples: [] };
  return {
    texts,
    rows,
    examples: examples.map(({ text, task, emotion, answers }) => ({
      text,
      task: shortEnumName(task),
      ...(emotion === '' ? {} : { emotion }),
      answers,
    })),
  };
}

function rowsText(rows: data.SplitCounts | undefined): string {
  return !rows
    ? nothing
    : `${count(rows.train)} train, ${count(rows.validation)} validation, ${count(rows.test)} test`;
}

/** Rows that give one text different answers: how many, and the first ones. */
function conflictsText({ texts, rows }: data.Conflicts): string {
  const of = texts === 1 ? 'text has' : 'texts have';
  return texts === 0 ? '' : `${count(texts)} ${of} different answers: all ${count(rows)} rows kept`;
}

function conflictsTable({ examples }: data.Conflicts): string {
  return table(
    ['conflict', 'answers (rows)', 'text'],
    examples.map(({ task, emotion, answers, text }) => {
      const asked = shortEnumName(task);
      const shown = (answer: string) => (asked.endsWith('regression') ? figure(Number(answer)) : answer);
      return [
        emotion === '' ? asked : `${asked} of ${emotion}`,
        Object.entries(answers)
          .map(([answer, n]) => `${shown(answer)} (${count(n)})`)
          .join(', '),
        clip(text, textColumns),
      ];
    }),
  );
}

function countsTable(
  heading: string,
  counts: readonly (readonly [string, data.SplitCounts | undefined])[],
): string {
  return table(
    [heading, 'train', 'validation', 'test'],
    counts.map(([name, rows]) => [
      name,
      ...[rows?.train, rows?.validation, rows?.test].map((n) => count(n ?? 0)),
    ]),
  );
}

/** How often each label occurs, a table for each task that has labels. */
export function labelsText({ tasks }: data.Manifest): string {
  return tasks
    .filter(({ labels }) => labels.length > 0)
    .map(({ task, labels }) =>
      countsTable(
        shortEnumName(task),
        labels.map(({ label, rows }) => [label, rows]),
      ),
    )
    .join('\n\n');
}

export function datasetText({ name, version, state, failure, manifest }: data.Dataset): string {
  const head = facts([
    ['dataset', version === '' ? name : `${name}@${version}`],
    ['state', buildState(state)],
    ['failure', failure],
    ['rows', manifest && rowsText(manifest.rows)],
    [
      'removed',
      manifest && `${count(manifest.duplicatesRemoved)} duplicates, ${count(manifest.leaksRemoved)} leaks`,
    ],
    ['conflicts', manifest?.conflicts && conflictsText(manifest.conflicts)],
  ]);
  if (!manifest) return head;
  const sources = table(
    ['source', 'rows', 'licence', 'skipped', 'url'],
    manifest.sources.map(({ name, rows, licence, skipped, url }) => {
      const reasons = Object.entries(skipped).map(([reason, n]) => `${count(n)} ${reason}`);
      return [name, count(rows), licence, reasons.join('; ') || nothing, url || nothing];
    }),
  );
  const tasks = countsTable(
    'task',
    manifest.tasks.map(({ task, rows }) => [shortEnumName(task), rows]),
  );
  const notices = manifest.notices.map((notice) => `note: ${notice}`);
  const { conflicts } = manifest;
  return [
    head,
    sources,
    tasks,
    ...(conflicts && conflicts.examples.length > 0 ? [conflictsTable(conflicts)] : []),
    ...(notices.length > 0 ? [notices.join('\n')] : []),
  ].join('\n\n');
}

export function datasetsText(datasets: readonly data.Dataset[]): string {
  return table(
    ['name', 'version', 'state', 'train', 'validation', 'test'],
    datasets.map(({ name, version, state, manifest }) => [
      name,
      version || nothing,
      buildState(state),
      ...[manifest?.rows?.train, manifest?.rows?.validation, manifest?.rows?.test].map((n) =>
        n === undefined ? nothing : count(n),
      ),
    ]),
  );
}

export function sourcesText(sources: readonly data.Source[]): string {
  return table(
    ['source', 'language', 'licence', 'found', 'tasks', 'title'],
    sources.map(({ name, language, licence, location, tasks, title }) => [
      name,
      language,
      licence,
      location || 'to be downloaded',
      tasks.map(shortEnumName).join(', '),
      title,
    ]),
  );
}

export function lexiconsText(lexicons: readonly data.Lexicon[]): string {
  return table(
    ['lexicon', 'language', 'terms', 'licence', 'asks for', 'found', 'sha256', 'title'],
    lexicons.map((lexicon) => [
      lexicon.name,
      lexicon.language,
      lexicon.entries === 0 ? nothing : count(lexicon.entries),
      lexicon.licence,
      lexicon.obligations.join('; ') || nothing,
      lexicon.location || (lexicon.redistributable ? 'to be downloaded' : 'to be brought'),
      lexicon.sha256.map((hash) => hash.slice(0, 12)).join(', ') || nothing,
      lexicon.title,
    ]),
  );
}

/** The gold answer of an example: its number on 0..1, or its labels. */
function goldText({ value, labels, emotion }: data.Example): string {
  if (value === undefined) return labels.join(', ');
  return emotion === '' ? figure(value) : `${emotion} ${figure(value)}`;
}

export function examplesText(examples: readonly data.Example[]): string {
  return table(
    ['task', 'gold', 'source', 'text'],
    examples.map((example) => [
      shortEnumName(example.task),
      goldText(example),
      example.source,
      clip(example.text, textColumns),
    ]),
  );
}
