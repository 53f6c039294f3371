/**
 * Rows that `emotune study export --rows` writes, JSON a line: what raters of a study answered together, with every rating or the votes.
 * Where the spec names neither, the source is called after the study, and its licence is that of the rows.
 */
import {
  isRegression,
  labelGold,
  labelViolations,
  numberGold,
  ratedGold,
  type SourceExample,
  scaleViolations,
  tasks,
  unitOf,
} from '@emotune/affect';
import { mean, show } from '@emotune/base';
import { z } from 'zod';
import type { Import, ImportedFile, Importer } from './importer.js';

const format = 'study';
const number = z.number();
const text = z.string();

const rowShape = z.object({
  id: text.min(1),
  text: text.trim().min(1),
  task: z.enum(tasks),
  emotion: text.default(''),
  scale: z.object({ low: number, high: number }).optional(),
  labels: z.array(text).default([]),
  multiLabel: z.boolean().default(false),
  value: number.optional(),
  answer: z.array(text).default([]),
  ratings: z.array(number).default([]),
  votes: z.record(text, number.int().nonnegative()).default({}),
  raters: number.int().positive(),
  source: text.regex(/^study:[a-z0-9-]+$/),
  licence: text.min(1),
  language: text.default('en'),
});
type Row = z.output<typeof rowShape>;

/** How far a mean may be from that of its ratings, as a share of the scale: both are written with twelve digits. */
const tolerance = 1e-9;

/** What is wrong, or the example. */
function exampleOf(row: Row, name: string): SourceExample | string {
  const { id, task, emotion, scale, labels, multiLabel, value, answer, ratings, votes, raters } = row;
  const common = {
    ...{ id: `${name}/${id}`, source: name, originalId: id, licence: row.licence, language: row.language },
    ...{ task, text: row.text, split: null },
  };
  if (isRegression(task)) {
    if (scale === undefined || value === undefined) return 'expected "scale" and "value", got none of one';
    const [wrong] = scaleViolations(scale, 'scale');
    if (wrong) return wrong.description;
    if (task === 'emotion-regression' && emotion === '') return 'expected "emotion", got nothing';
    const all = [value, ...ratings].map((native) => unitOf(scale, native));
    if (!all.every((one) => one >= 0 && one <= 1))
      return `expected numbers on ${scale.low}..${scale.high}, got ${show([value, ...ratings])}`;
    const rated = all.slice(1);
    if (rated.length > 0 && (rated.length !== raters || Math.abs(mean(rated) - all[0]) > tolerance))
      return `expected ${raters} ratings whose mean is ${value}, got ${show(ratings)}`;
    const gold = rated.length > 0 ? ratedGold(all[0], rated) : numberGold(all[0], null, raters);
    return { ...common, emotion: emotion || null, scale, labelSet: [], multiLabel: false, gold };
  }
  const [wrong] = labelViolations(labels, 'labels');
  if (wrong) return `${wrong.field}: ${wrong.description}`;
  const unknown = [...answer, ...Object.keys(votes)].find((label) => !labels.includes(label));
  if (unknown !== undefined) return `expected labels among ${labels.join(', ')}, got ${show(unknown)}`;
  if (answer.length === 0 || (!multiLabel && answer.length > 1))
    return `expected ${multiLabel ? 'labels' : 'one label'} in "answer", got ${show(answer)}`;
  const gold = labelGold([...answer].sort(), raters, votes);
  return { ...common, emotion: null, scale: null, labelSet: [...labels].sort(), multiLabel, gold };
}

function rowsOf(file: ImportedFile, into: Import): { readonly line: number; readonly row: Row }[] {
  return file.text.split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      into.fault(file, i + 1, `expected one JSON object, got ${show(line)}`);
      return [];
    }
    const { data, error } = rowShape.safeParse(value);
    if (data !== undefined) return [{ line: i + 1, row: data }];
    const [{ path, message }] = error!.issues;
    into.fault(file, i + 1, `"${path.join('.')}": ${message}`);
    return [];
  });
}

export const study: Importer = {
  format,
  title: 'Judgements of a study',
  licence: '',
  url: '',
  files: 'what "emotune study export NAME --rows FILE.jsonl" writes',
  read(files, into) {
    const rows = files.flatMap((file) => {
      if (!/\.jsonl?$/.test(file.path)) return [];
      into.take();
      return rowsOf(file, into).map((one) => ({ file, ...one }));
    });
    if (rows.length === 0) return;
    const [{ row: first }] = rows;
    if (into.name === format) into.name = first.source;
    if (into.licence === '')
      into.licence = [...new Set(rows.map(({ row }) => row.licence))].sort().join(', ');
    const seen = new Set<string>();
    for (const { file, line, row } of rows) {
      const example = exampleOf(row, into.name);
      if (row.source !== first.source)
        into.fault(
          file,
          line,
          `expected rows of ${first.source}, got ${row.source}: import each study by itself`,
        );
      else if (seen.has(row.id)) into.fault(file, line, `expected each id once, got ${show(row.id)} again`);
      else if (typeof example === 'string') into.fault(file, line, example);
      else into.add(example);
      seen.add(row.id);
    }
  },
};
