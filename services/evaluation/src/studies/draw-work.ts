/** What making a study does in the process of a build: reads the rows of its sample and draws the items. */
import { type Example, type Meaning, nativeOf, type SourceExample, tasks } from '@emotune/affect';
import { FailedPrecondition, NotFound, Rng } from '@emotune/base';
import { type ObjectStore, openObjectStore } from '@emotune/objects';
import { decodePredictions, type Prediction, readExamples } from '@emotune/records';
import type { BuildWork } from '@emotune/service';
import { Drawing, drawStratified } from './draw.js';
import { askedText, checksOf, type Item } from './items.js';
import { questionFor, type RatingQuestion, type StudyQuestion } from './question.js';
import type { StudyPlan } from './spec.js';

/** Where the rows lie. */
export type SampleSource =
  | { readonly kind: 'evaluation'; readonly prefix: string; readonly against: string | null }
  | { readonly kind: 'dataset'; readonly prefix: string };

export interface DrawBuild {
  /** Of the object store. */
  readonly objects: string;
  readonly plan: StudyPlan;
  readonly source: SampleSource;
}

export interface Drawn {
  readonly question: StudyQuestion;
  /** In the order of their numbers, checks anywhere among them. */
  readonly items: readonly Item[];
  readonly notices: readonly string[];
}

/** Characters of a text that people can be asked to read; a thousand of them fit into a message. */
const longestText = 4_000;

function isReadable({ text }: Example): boolean {
  return text.length <= longestText;
}

function tooLongNotice(n: number): string[] {
  return n === 0
    ? []
    : [`${counted(n, 'row')} of more than ${longestText.toLocaleString('en')} characters: left out`];
}

const counted = (n: number, what: string) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** As an answer to people. */
function answerText({ scale, decimals, value, labels }: Prediction): string {
  if (value === null || scale === null) return labels.length === 0 ? 'none' : [...labels].sort().join(', ');
  return nativeOf(scale, value)
    .toFixed(decimals)
    .replace(/^-(0\.?0*)$/, '$1');
}

function meaningOf({ value, labels }: Prediction): Meaning {
  return { value, labels: [...labels].sort() };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && [...a].sort().join('\0') === [...b].sort().join('\0');
}

/** @throws FailedPrecondition naming the tasks that there are. */
function expectRows(rows: readonly Example[], all: ReadonlySet<string>, { mode }: StudyPlan): void {
  if (rows.length > 0) return;
  const wanted = mode.kind === 'rating' ? ` of ${mode.task}` : '';
  const there = tasks.filter((task) => all.has(task));
  throw new FailedPrecondition(
    `spec.sample: expected rows${wanted}, got none${there.length > 0 ? `; there are rows of ${there.join(', ')}` : ': it holds no rows'}`,
  );
}

function rated(question: RatingQuestion, row: Prediction): Item {
  // Answers among other labels tell nothing of these.
  const comparable = question.scale !== null || sameSet(row.labelSet, question.labels);
  return {
    ...{ right: null, example: row.id, text: row.text, language: row.language, emotion: row.emotion },
    ...{ asked: '', answers: null, model: comparable ? meaningOf(row) : null },
    ...{ source: row.source, licence: '' },
  };
}

async function ofEvaluation(
  objects: ObjectStore,
  plan: StudyPlan,
  source: SampleSource & { readonly kind: 'evaluation' },
): Promise<{ readonly question: StudyQuestion; readonly items: Item[]; readonly notices: string[] }> {
  const { mode, items, seed } = plan;
  const read = async (prefix: string) => decodePredictions(await objects.get(`${prefix}/predictions.arrow`));
  const whole = await read(source.prefix);
  const all = whole.filter(isReadable);
  const kinds = new Set(all.map(({ task }) => task));
  const notices = tooLongNotice(whole.length - all.length);
  if (mode.kind === 'rating') {
    const rows = all.filter(({ task }) => task === mode.task);
    expectRows(rows, kinds, plan);
    const { drawn, duplicates } = drawStratified(rows, items, seed);
    const question = questionFor(plan, rows) as RatingQuestion;
    if (duplicates > 0)
      notices.push(`${counted(duplicates, 'row')} whose question stood there before: left out`);
    const judged = drawn.map((row) => rated(question, row));
    const apart = judged.filter(({ model }) => model === null).length;
    if (apart > 0)
      notices.push(
        `of ${counted(apart, 'item')} the model chose among other labels: its answers are not compared with the raters'`,
      );
    return { question, items: judged, notices };
  }
  expectRows(all, kinds, plan);
  const keyOf = ({ task, id }: Prediction) => `${task}\0${id}`;
  const others = new Map((await read(source.against!)).map((row) => [keyOf(row), row]));
  const pairs = all.flatMap((row) => {
    const other = others.get(keyOf(row));
    return other && other.text === row.text
      ? [{ row, answers: [answerText(row), answerText(other)] as const }]
      : [];
  });
  if (pairs.length === 0)
    throw new FailedPrecondition(
      'spec.comparison.against: expected an evaluation of the same rows as the sample, got none in common',
    );
  const differing = new Map(
    pairs.filter(({ answers: [a, b] }) => a !== b).map(({ row, answers }) => [row, answers]),
  );
  if (differing.size === 0)
    throw new FailedPrecondition(
      `spec.comparison: expected models that answer differently, got the same answers to all ${counted(pairs.length, 'row')}`,
    );
  if (differing.size < pairs.length)
    notices.push(`${counted(pairs.length - differing.size, 'row')} that both models answer alike: left out`);
  const { drawn, duplicates } = drawStratified([...differing.keys()], items, seed);
  if (duplicates > 0)
    notices.push(`${counted(duplicates, 'row')} whose question stood there before: left out`);
  return {
    question: questionFor(plan, drawn),
    items: drawn.map((row) => ({
      ...{ right: null, example: row.id, text: row.text, language: row.language, emotion: row.emotion },
      ...{ asked: askedText(row.task, row), answers: [...differing.get(row)!] as [string, string] },
      ...{ model: null, source: row.source, licence: '' },
    })),
    notices,
  };
}

async function ofDataset(
  objects: ObjectStore,
  plan: StudyPlan,
  prefix: string,
): Promise<{ readonly question: StudyQuestion; readonly items: Item[]; readonly notices: string[] }> {
  const { mode, items, seed, sample } = plan;
  if (mode.kind !== 'rating' || sample.kind !== 'dataset')
    throw new TypeError('internal: a dataset is rated');
  const key = `${prefix}/${sample.split}.parquet`;
  const found = await objects.stat(key);
  if (!found) throw new NotFound(`the files of dataset ${sample.dataset} are gone from the object store`);
  const drawing = new Drawing<SourceExample>(seed, items);
  const kinds = new Set<string>();
  let tooLong = 0;
  const content = { bytes: found.bytes, read: (from?: number) => objects.read(key, from) };
  const asked = new Map<string, Example>();
  for await (const row of readExamples(content, sample.split)) {
    kinds.add(row.task);
    if (row.task !== mode.task) continue;
    if (!isReadable(row)) {
      tooLong++;
      continue;
    }
    drawing.add(row);
    asked.set(JSON.stringify([row.scale, row.labelSet, row.multiLabel]), row);
  }
  const drawn = drawing.end();
  expectRows(drawn, kinds, plan);
  const question = questionFor(plan, [...asked.values()]);
  return {
    question,
    items: drawn.map((row) => ({
      ...{ right: null, example: row.id, text: row.text, language: row.language, emotion: row.emotion },
      ...{ asked: '', answers: null, model: null, source: row.source, licence: row.licence },
    })),
    notices: tooLongNotice(tooLong),
  };
}

/** @throws InvalidArgument where the rows do not tell what the plan leaves open; FailedPrecondition where there is nothing to judge. */
export const draw: BuildWork<DrawBuild, Drawn> = async ({ objects: url, plan, source }) => {
  const objects = await openObjectStore(url);
  const { question, items, notices } =
    source.kind === 'evaluation'
      ? await ofEvaluation(objects, plan, source)
      : await ofDataset(objects, plan, source.prefix);
  const emotions = [...new Set(items.flatMap(({ emotion }) => emotion ?? []))].sort();
  const checks = checksOf(plan, question, emotions);
  const told = [...notices];
  if (items.length < plan.items)
    told.push(
      `the sample has ${counted(items.length, 'item')}, where ${plan.items} were asked: all are judged`,
    );
  if (items.length === 1) told.push('of one item no agreement can be told');
  // Their numbers tell nobody which ones are checks.
  return { question, items: Rng.of(plan.seed, 'numbers').shuffle([...items, ...checks]), notices: told };
};
