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
    languages: Object.fromEntries((manifest?.languages ?? []).map((of) => [of.language, of.rows])),
    licences: (manifest?.licences ?? []).map((of) => ({ ...of })),
    licenceConflicts: (manifest?.licenceConflicts ?? []).map((of) => ({ ...of })),
    duplicatesRemoved: manifest?.duplicatesRemoved ?? 0,
    leaksRemoved: manifest?.leaksRemoved ?? 0,
    cleaning: cleaningJson(manifest?.cleaning),
    conflicts: conflictsJson(manifest?.conflicts),
    notices: manifest?.notices ?? [],
  };
}

function cleaningJson(cleaning: data.Cleaning | undefined) {
  const { nearDuplicates, nearDuplicatesRemoved, nearLeaksRemoved, leaks, near } = cleaning ?? {
    ...{ nearDuplicates: 1, nearDuplicatesRemoved: 0, nearLeaksRemoved: 0, leaks: [], near: [] },
  };
  const told = (rows: readonly data.DroppedRow[]) => rows.map((row) => ({ ...row }));
  return { nearDuplicates, nearDuplicatesRemoved, nearLeaksRemoved, leaks: told(leaks), near: told(near) };
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

/** Rows that were dropped: those of equal texts, then those of near ones. */
function removedText({ duplicatesRemoved, leaksRemoved, cleaning }: data.Manifest): string {
  const equal = `${count(duplicatesRemoved)} duplicates, ${count(leaksRemoved)} leaks`;
  if (!cleaning || cleaning.nearDuplicates >= 1) return equal;
  const { nearDuplicates, nearDuplicatesRemoved, nearLeaksRemoved } = cleaning;
  return `${equal}; nearly so (from ${nearDuplicates} on) ${count(nearDuplicatesRemoved)} and ${count(nearLeaksRemoved)}`;
}

/** Where there are several. */
function languagesText({ languages }: data.Manifest): string {
  if (languages.length < 2) return '';
  return languages
    .map(({ language, rows }) => {
      const all = (rows?.train ?? 0) + (rows?.validation ?? 0) + (rows?.test ?? 0);
      return `${language} ${count(all)}`;
    })
    .join(', ');
}

function licencesTable({ licences }: data.Manifest): string {
  return table(
    ['licence', 'rows', 'asks of who passes on what is made of them', 'sources'],
    licences.map(({ licence, rows, obligations, sources, known }) => [
      licence,
      count(rows),
      `${obligations.join(', ') || nothing}${known ? '' : ' (unknown terms)'}`,
      sources.join(', '),
    ]),
  );
}

/** The first rows that were dropped because their text stands in a later split. */
function leaksTable({ leaks }: data.Cleaning): string {
  return table(
    ['leak', 'of', 'repeats', 'of', 'text'],
    leaks.map(({ id, split, keptId, keptSplit, text }) => [
      ...[id, split, keptId, keptSplit],
      clip(text, textColumns),
    ]),
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
    ['removed', manifest && removedText(manifest)],
    ['conflicts', manifest?.conflicts && conflictsText(manifest.conflicts)],
    ['languages', manifest && languagesText(manifest)],
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
    ...(manifest.licences.length > 0 ? [licencesTable(manifest)] : []),
    ...(manifest.cleaning && manifest.cleaning.leaks.length > 0 ? [leaksTable(manifest.cleaning)] : []),
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
