/**
 * What a model was taught: which questions, on which scales and labels, and how its answers end. It lies beside the
 * weights as `emotune.json`, so that a model is asked as it learnt wherever its folder goes.
 */
import { InvalidArgument, parse } from '@emotune/base';
import { z } from 'zod';
import { type Calibration, calibrationOf } from './calibration.js';
import { curveMethods } from './curve.js';
import { labelViolations } from './labels.js';
import { scaleViolations } from './scales.js';
import {
  type Inquiry,
  isRegression,
  multiLabelThreshold,
  skills,
  type Task,
  type TaughtInquiry,
  tasks,
} from './tasks.js';

/** The file's name. */
export const teachingFile = 'emotune.json';

export interface Teaching {
  /** The token that ends each answer; null where nothing was asked. */
  readonly endTokenId: number | null;
  /** Whether prompts carried lexicon cues. */
  readonly cues: boolean;
  /** By task in the order of the curriculum, then the most rows first. */
  readonly inquiries: readonly TaughtInquiry[];
  /** What held-out rows say of its answers; empty where none were held out. */
  readonly calibrations: readonly Calibration[];
}

interface Row extends Inquiry {
  readonly language: string;
  readonly text: string;
  readonly prompt: string;
  /** Prompt, answer and end of sequence. */
  readonly tokens: ArrayLike<number>;
}

/** Equal for inquiries that ask the same; labels in any order are one set. */
export function inquiryKey({ task, emotion, scale, labelSet, multiLabel }: Inquiry): string {
  return JSON.stringify([task, emotion, scale, [...labelSet].sort(), multiLabel]);
}

/** The order that most of the rows have. */
function usualOrder(rows: readonly Inquiry[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { labelSet } of rows) {
    const key = JSON.stringify(labelSet);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const [[order]] = [...counts].sort(([, a], [, b]) => b - a);
  return JSON.parse(order);
}

/** What the rows of a training teach. */
export function teachingOf(rows: readonly Row[]): Teaching {
  const asked = rows.filter(({ scale, labelSet }) => scale !== null || labelSet.length > 0);
  const inquiries = [...Map.groupBy(asked, inquiryKey).values()].map((group): TaughtInquiry => {
    const [{ task, emotion, scale, multiLabel }] = group;
    const labelSet = usualOrder(group);
    return {
      task,
      emotion,
      scale,
      labelSet,
      multiLabel,
      rows: group.length,
      threshold: multiLabelThreshold,
      languages: [...new Set(group.map(({ language }) => language))].sort(),
      skill: 'unknown',
    };
  });
  inquiries.sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task) || b.rows - a.rows);
  // A text may hold the words that begin the line of cues.
  const telling = rows.filter(({ text, prompt }) => prompt !== '' && !text.includes('Cues:'));
  const tokens = rows[0]?.tokens;
  return {
    endTokenId: tokens && tokens.length > 0 ? tokens[tokens.length - 1] : null,
    // Some of the rows may have been bared of them.
    cues: telling.length === 0 || telling.some(({ prompt }) => prompt.includes(' Cues: ')),
    inquiries,
    calibrations: [],
  };
}

/**
 * The kind of question that a task is asked as where the asker leaves out scale or labels: the one that was taught most,
 * of a given emotion where that was taught.
 */
export function taughtInquiry(
  teaching: Teaching | undefined,
  task: Task,
  emotion?: string,
): TaughtInquiry | undefined {
  const known = teaching?.inquiries.filter((inquiry) => inquiry.task === task) ?? [];
  return known.find((inquiry) => inquiry.emotion === emotion) ?? known[0];
}

/** As the model learnt to be asked about just these labels; where it did not, for one of them. */
export function labelInquiry(
  teaching: Teaching | undefined,
  task: Task,
  labels: readonly string[],
): TaughtInquiry {
  const wanted = [...labels].sort().join();
  const taught = teaching?.inquiries.find(
    (inquiry) => inquiry.task === task && [...inquiry.labelSet].sort().join() === wanted,
  );
  const unknown = { emotion: null, scale: null, multiLabel: false, rows: 0, threshold: multiLabelThreshold };
  return taught ?? { ...unknown, languages: [], skill: 'unknown', task, labelSet: labels };
}

/** "pt-BR" → "pt": a model that knows a language knows its regions. */
function primary(language: string): string {
  return language.toLowerCase().split('-')[0];
}

/**
 * Languages among these that the model was taught in none of, each once and sorted, and those that it was taught in; undefined
 * where it saw all of them or does not tell.
 */
export function unseenLanguages(
  teaching: Pick<Teaching, 'inquiries'> | undefined,
  languages: Iterable<string>,
): { readonly unseen: readonly string[]; readonly seen: readonly string[] } | undefined {
  const seen = [...new Set(teaching?.inquiries.flatMap((inquiry) => inquiry.languages))].sort();
  if (seen.length === 0) return undefined;
  const known = new Set(seen.map(primary));
  const unseen = [...new Set(languages)].filter((language) => !known.has(primary(language))).sort();
  return unseen.length === 0 ? undefined : { unseen, seen };
}

/** The question with how its answers are calibrated, where the model tells. */
export function calibrated<Asked extends Inquiry>(
  teaching: Teaching | undefined,
  question: Asked,
): Asked & { readonly calibration: Calibration | undefined } {
  return { ...question, calibration: calibrationOf(teaching?.calibrations ?? [], question) };
}

/** `labels[0]` → ['labels', 0]. */
const pathOf = (field: string) =>
  (field.match(/\w+/g) ?? []).map((part) => (/^\d+$/.test(part) ? Number(part) : part));

const entry = z
  .object({
    task: z.enum(tasks),
    emotion: z.string().min(1).optional(),
    scale: z.object({ low: z.number(), high: z.number() }).optional(),
    labels: z.array(z.string()).optional(),
    multiLabel: z.boolean().default(false),
    threshold: z.number().gt(0).lt(1).default(multiLabelThreshold),
    rows: z.number().int().min(0).default(0),
    languages: z.array(z.string()).default([]),
    skill: z.enum(skills).default('unknown'),
  })
  .superRefine(({ task, scale, labels }, context) => {
    const wrong = isRegression(task)
      ? scale === undefined
        ? [{ field: 'scale', description: `expected the scale of ${task}, got nothing` }]
        : scaleViolations(scale, 'scale')
      : labelViolations(labels ?? [], 'labels');
    for (const { field, description } of wrong)
      context.addIssue({
        code: 'custom',
        path: pathOf(field),
        message: description.replace(/, got .*$/s, ''),
      });
  });

const share = z.number().min(0).max(1);
const count = z.number().int().min(0);
const curve = z
  .object({ method: z.enum(curveMethods), x: z.array(share).min(1), y: z.array(share).min(1) })
  .refine(({ x, y }) => x.length === y.length, { path: ['y'], message: 'expected as many as x' })
  .refine(({ x }) => x.every((at, i) => i === 0 || at > x[i - 1]), {
    path: ['x'],
    message: 'expected rising numbers',
  });
const temperature = z.number().positive();
const margin = z.number().min(-1).max(1);
const scale = z.object({ low: z.number(), high: z.number() });

const calibration = z.object({
  task: z.enum(tasks),
  emotion: z.string().min(1).nullable().default(null),
  labelSet: z.array(z.string()).default([]),
  multiLabel: z.boolean().default(false),
  n: count,
  numbers: z
    .object({ temperature, curve, margin, margins: z.array(z.object({ scale, n: count, margin })) })
    .nullable()
    .default(null),
  labels: z
    .object({
      temperature,
      thresholds: z.record(z.string(), z.number().positive()),
      confidence: curve,
      mass: share,
    })
    .nullable()
    .default(null),
});

/** Before version 2 nothing was calibrated. */
const file = z.object({
  version: z.union([z.literal(1), z.literal(2)]),
  endTokenId: z.number().int().min(0).nullable(),
  cues: z.boolean(),
  tasks: z.array(entry),
  calibrations: z.array(calibration).default([]),
});

/** The text of `emotune.json`. */
export function teachingJson({ endTokenId, cues, inquiries, calibrations }: Teaching): string {
  const document: z.input<typeof file> = {
    version: 2,
    endTokenId,
    cues,
    tasks: inquiries.map(({ task, emotion, scale, labelSet, multiLabel, rows, threshold, ...rest }) => ({
      task,
      ...(emotion === null ? {} : { emotion }),
      ...(scale === null ? { labels: [...labelSet], multiLabel } : { scale }),
      ...(multiLabel ? { threshold } : {}),
      rows,
      languages: [...rest.languages],
      skill: rest.skill,
    })),
    calibrations: calibrations.map((each) => structuredClone(each) as z.input<typeof calibration>),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** @throws InvalidArgument naming what is wrong in the file. */
export function parseTeaching(text: string): Teaching {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(teachingFile, 'expected JSON', { cause });
  }
  const { endTokenId, cues, tasks: entries, calibrations } = parse(file, json, [teachingFile]);
  return {
    endTokenId,
    cues,
    inquiries: entries.map(({ task, emotion, scale, labels, multiLabel, ...rest }) => ({
      ...rest,
      task,
      emotion: emotion ?? null,
      scale: scale ?? null,
      labelSet: labels ?? [],
      multiLabel,
    })),
    calibrations,
  };
}
