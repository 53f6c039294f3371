/** `emotune distill`: teachers' answers about texts, asked once and kept, become what a student learns. */
import { basename, join } from 'node:path';
import { type Inquiry, multiLabelThreshold, type Teaching, tasks } from '@emotune/affect';
import {
  AlreadyExists,
  canonicalJson,
  exists,
  FailedPrecondition,
  InvalidArgument,
  Rng,
  sha256,
  systemClock,
} from '@emotune/base';
import type { LocateOptions } from '@emotune/data';
import { loadModel, loadTokenizer, longestRow } from '@emotune/models';
import { endOfSequence } from '@emotune/text';
import { saveTuned } from '@emotune/trainer';
import { distill, type Measurement, type TrainingSettings, withExecutor } from '@emotune/training';
import { type Asked, askedOf, type StudentRow, StudentRows } from './asked.js';
import { distilledCard } from './card.js';
import { type DistillFile, inquiryOf } from './file.js';
import {
  askTeachers,
  licenceOf,
  modelHash,
  type Teacher,
  taughtInquiries,
  teacherOf,
  wasTaught,
} from './teachers.js';
import { taughtTexts } from './texts.js';

interface DistillOptions {
  /** With paths as they are on this machine. */
  readonly file: DistillFile;
  readonly settings: TrainingSettings;
  readonly locate: LocateOptions;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  readonly onAsking: (teacher: Teacher, done: number, total: number, questions: number) => void;
  readonly onMeasurement: (measurement: Measurement) => void;
}

interface Distilled {
  readonly out: string;
  readonly texts: number;
  /** Questions about them. */
  readonly questions: number;
  readonly rows: number;
  readonly tokens: number;
  /** Of held-out rows: the loss less the teachers' entropy, nats a row; null where none were held out. */
  readonly distance: number | null;
}

/** What is asked. @throws FailedPrecondition where nothing says it. */
function inquiriesOf({ questions }: DistillFile, teachers: readonly Teacher[]): Inquiry[] {
  const inquiries = questions?.map(inquiryOf) ?? taughtInquiries(teachers);
  if (inquiries.length > 0) return inquiries;
  throw new FailedPrecondition(
    'questions: expected what to ask, since no teacher has an emotune.json that says what it was taught, got none',
  );
}

/** Whether nobody says that a teacher was taught it. */
function untaught(teachers: readonly Teacher[], inquiry: Inquiry): boolean {
  return !teachers.some((teacher) => wasTaught(teacher, inquiry));
}

function nameOf({ task, emotion, labelSet, scale }: Inquiry): string {
  const answers = scale === null ? labelSet.join(', ') : `${scale.low}..${scale.high}`;
  return `${task}${emotion === null ? '' : ` of ${emotion}`} (${answers})`;
}

/** What the student was taught, for its emotune.json. */
function teachingOf(
  asked: readonly Asked[],
  inquiries: readonly Inquiry[],
  cues: boolean,
  end: number,
): Teaching {
  const rows = inquiries.map((_, kind) => asked.filter((one) => one.kind === kind).length);
  const taught = inquiries.map((inquiry, i) => ({
    ...inquiry,
    rows: rows[i],
    threshold: multiLabelThreshold,
    languages: [],
    skill: 'unknown' as const,
  }));
  return {
    endTokenId: end,
    cues,
    inquiries: taught
      .filter((inquiry) => inquiry.rows > 0)
      .sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task) || b.rows - a.rows),
    calibrations: [],
  };
}

/**
 * Asks teachers, trains the student, and writes it with its card to `out`. What was asked is kept in the folder `work`, with the
 * checkpoints of training: a second call goes on from there.
 * @throws AlreadyExists; Interrupted or the signal's reason; what loading, asking and training throw.
 */
export async function distillStudent(options: DistillOptions): Promise<Distilled> {
  const { file, settings, locate, signal, note } = options;
  const { out, work = `${out}.work`, temperature, goldWeight, cues } = file;
  if (await exists(out)) throw new AlreadyExists(`expected no folder yet, got ${out}`);
  const { seed, threads } = settings;
  const teachers = await Promise.all(file.teachers.map(teacherOf));
  const inquiries = inquiriesOf(file, teachers);
  for (const inquiry of inquiries)
    if (untaught(teachers, inquiry))
      note(
        `no teacher says that it was taught ${nameOf(inquiry)}: see whether its answers are worth learning`,
      );
  const tokenizer = await loadTokenizer(file.student);
  const model = await loadModel(file.student, { inFiles: true });
  const { config } = model;
  const students = new StudentRows({
    tokenizer,
    maxTokens: Math.min(file.maxTokens, longestRow(config)),
    variants: file.variants,
    cues,
    seed,
  });
  const { texts, sources } = await taughtTexts(file.data, { seed, locate });
  const held = new Set(texts.slice(0, Math.round(file.heldOut * texts.length)));
  if (held.size === texts.length)
    throw InvalidArgument.at('heldOut', `expected texts to train on, got ${texts.length} texts in all`);
  const asked = askedOf(texts, inquiries, { perText: file.questionsPerText, seed });
  // What is wrong with the student is told before teachers take their time.
  for (const inquiry of inquiries) {
    const one = asked.find((some) => some.inquiry === inquiry);
    if (one) students.of(one, students.uniform(inquiry));
  }
  const answers = await askTeachers(teachers, asked, {
    folder: join(work, 'answers'),
    threads,
    signal,
    note,
    onProgress: options.onAsking,
  });
  const rows: { train: StudentRow[]; validation: StudentRow[] } = { train: [], validation: [] };
  asked.forEach((one, i) => {
    rows[held.has(one.text) ? 'validation' : 'train'].push(...students.of(one, answers[i]));
  });
  const validation = Rng.of(seed, 'held out').shuffle(rows.validation).slice(0, settings.validationExamples);
  note(`${texts.length} texts, ${asked.length} questions, ${rows.train.length} rows to train on`);
  // A run with other settings has checkpoints of its own.
  const run = sha256(canonicalJson({ file, settings: { ...settings, threads: 0, device: 0 } })).slice(0, 12);
  const result = await withExecutor({ device: settings.device, threads }, (executor) =>
    distill({
      executor,
      clock: systemClock,
      model,
      rows: { train: rows.train, validation },
      settings,
      distillation: { temperature, goldWeight },
      tasks: tasks.filter((task) => rows.train.some((row) => row.task === task)),
      epochs: file.epochs,
      checkpoints: join(work, 'checkpoints', run),
      signal,
      takeWeights: true,
      onNotice: note,
      onMeasurement: (measurement) => {
        options.onMeasurement(measurement);
        return 'continue';
      },
    }),
  );
  const distance = result.best?.objective ?? null;
  const taught = asked.filter(({ text }) => !held.has(text));
  const card = distilledCard({
    name: basename(out),
    family: config.family,
    teachers,
    student: {
      model: file.student,
      hash: await modelHash([file.student]),
      licence: await licenceOf(file.student),
    },
    sources,
    questions: inquiries.map((inquiry, kind) => {
      const of = taught.filter((one) => one.kind === kind);
      return { inquiry, asked: of.length, golds: of.filter(({ golds }) => golds.length > 0).length };
    }),
    rows: { train: rows.train.length, heldOut: validation.length },
    temperature,
    goldWeight,
    tokens: result.tokens,
    seed,
    learningRate: settings.optimizer.learningRate,
    method: settings.method.name,
    distance,
  });
  await saveTuned(
    out,
    {
      config,
      method: settings.method,
      teaching: teachingOf(taught, inquiries, cues > 0, endOfSequence(tokenizer)),
      lexicons: undefined,
      tensors: result.tensors,
    },
    {
      baseModel: file.student,
      baseName: file.student,
      more: { 'README.md': card },
      dtype: file.dtype === 'float16' ? 'F16' : 'F32',
    },
  );
  return {
    out,
    texts: texts.length,
    questions: asked.length,
    rows: rows.train.length,
    tokens: result.tokens,
    distance,
  };
}
