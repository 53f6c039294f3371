/** Asks teachers once, keeps what they said, and gives the mean of their answers. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  candidatesOf,
  type Inquiry,
  inquiryKey,
  type Lexicons,
  parseTeaching,
  renderPrompt,
  type Teaching,
  teachingFile,
} from '@emotune/affect';
import { Answerer, lexiconsIn } from '@emotune/answering';
import { canonicalJson, sha256, sha256OfFile } from '@emotune/base';
import { textAt } from '@emotune/text';
import { AnswerStore, questionKey } from './answer-store.js';
import { type Asked, checkedCandidates, questionAbout } from './asked.js';
import type { TeacherEntry } from './file.js';

/** Questions between two writes: what an interruption can lose. */
const chunk = 256;
/** What decides a model's answers; its card does not. */
const weighty = /\.(json|safetensors|gguf|jinja)$/;

export interface Teacher extends TeacherEntry {
  /** Of all that decides its answers. */
  readonly hash: string;
  readonly teaching: Teaching | undefined;
  /** Whose cues its prompts carry. */
  readonly lexicons: Lexicons;
  /** As its card says, where it says one. */
  readonly licence: string | undefined;
}

async function filesOf(path: string): Promise<string[]> {
  if ((await stat(path)).isFile()) return [path];
  return (await readdir(path))
    .filter((name) => weighty.test(name))
    .sort()
    .map((name) => join(path, name));
}

/** SHA-256 of what decides the answers of a model. */
export async function modelHash(paths: readonly string[]): Promise<string> {
  const files = (await Promise.all(paths.map(filesOf))).flat();
  const hashes: [string, string][] = [];
  for (const file of files) hashes.push([basename(file), await sha256OfFile(file)]);
  return sha256(canonicalJson(hashes));
}

/** The licence that a model's card names in its front matter. */
export async function licenceOf(folder: string): Promise<string | undefined> {
  const card = await textAt(join(folder, 'README.md')).catch(() => undefined);
  const [, head = ''] = /^---\n([\s\S]*?)\n---/.exec(card ?? '') ?? [];
  const of = (key: string) => new RegExp(`^${key}:\\s*["']?([^"'\\n]+?)["']?\\s*$`, 'm').exec(head)?.[1];
  const licence = of('license');
  return licence === 'other' ? (of('license_name') ?? licence) : licence;
}

export async function teacherOf(entry: TeacherEntry): Promise<Teacher> {
  const folders = entry.adapter === undefined ? [entry.model] : [entry.model, entry.adapter];
  const taught = await textAt(join(folders.at(-1)!, teachingFile)).catch(() => undefined);
  return {
    ...entry,
    lexicons: await lexiconsIn(folders.at(-1)!),
    hash: await modelHash(folders),
    teaching: taught === undefined ? undefined : parseTeaching(taught),
    licence: entry.licence ?? (await licenceOf(folders.at(-1)!)),
  };
}

/** What one or another of the teachers was taught, each once. */
export function taughtInquiries(teachers: readonly Teacher[]): Inquiry[] {
  const found = new Map<string, Inquiry>();
  for (const { task, emotion, scale, labelSet, multiLabel } of teachers.flatMap(
    (t) => t.teaching?.inquiries ?? [],
  )) {
    const inquiry = { task, emotion, scale, labelSet, multiLabel };
    if (!found.has(inquiryKey(inquiry))) found.set(inquiryKey(inquiry), inquiry);
  }
  return [...found.values()];
}

/** Whether a teacher's emotune.json names an inquiry. */
export function wasTaught({ teaching }: Teacher, inquiry: Inquiry): boolean {
  const key = inquiryKey(inquiry);
  return teaching?.inquiries.some((known) => inquiryKey(known) === key) ?? false;
}

/** The teachers that were taught an inquiry; all of them where none was. */
function teachersOf(teachers: readonly Teacher[], inquiry: Inquiry): readonly Teacher[] {
  const able = teachers.filter((teacher) => wasTaught(teacher, inquiry));
  return able.length > 0 ? able : teachers;
}

interface AskingOptions {
  /** Folder of what teachers said. */
  readonly folder: string;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  /** Of one teacher: characters of texts asked about, so that long ones count as such. */
  readonly onProgress: (teacher: Teacher, done: number, total: number, questions: number) => void;
}

interface Pending {
  readonly asked: Asked;
  readonly key: string;
}

/** The prompt of a teacher, in the wording that models are evaluated in. */
function questionFor(teacher: Teacher, { inquiry, text }: Asked) {
  const carries = teacher.cues ?? teacher.teaching?.cues ?? false;
  const cues = carries ? teacher.lexicons.explain(text.text, text.language).cueText : '';
  return questionAbout(inquiry, text.text, { cues, paraphrase: 0 });
}

/** Keys of a teacher's questions, `undefined` where it is not asked. */
function keysOf(
  teacher: Teacher,
  teachers: readonly Teacher[],
  asked: readonly Asked[],
): (string | undefined)[] {
  const kinds = new Map<Inquiry, readonly string[] | undefined>();
  return asked.map((one) => {
    if (!kinds.has(one.inquiry)) {
      const answers = candidatesOf(questionFor(teacher, one)).map(({ answer }) => answer);
      kinds.set(one.inquiry, teachersOf(teachers, one.inquiry).includes(teacher) ? answers : undefined);
    }
    const answers = kinds.get(one.inquiry);
    return answers && questionKey(renderPrompt(questionFor(teacher, one)), answers);
  });
}

/** Asks one teacher what is not in its store yet. */
async function askTeacher(
  teacher: Teacher,
  pending: readonly Pending[],
  store: AnswerStore,
  { threads, signal, onProgress }: AskingOptions,
): Promise<void> {
  const answerer = await Answerer.open({
    folder: teacher.model,
    threads,
    baseCompute: teacher.baseCompute,
    ...(teacher.adapter === undefined ? {} : { adapter: teacher.adapter }),
  });
  try {
    for (const inquiry of new Set(pending.map(({ asked }) => asked.inquiry))) {
      const candidates = candidatesOf(questionAbout(inquiry, '', { cues: '', paraphrase: 0 }));
      checkedCandidates(answerer.tokenizer, candidates, `teacher ${teacher.model}`);
    }
    const length = ({ asked }: Pending) => asked.text.text.length;
    const total = pending.reduce((sum, one) => sum + length(one), 0);
    let done = 0;
    for (let from = 0; from < pending.length; from += chunk) {
      onProgress(teacher, done, total, pending.length);
      // Questions of one kind and of like length fill a pass.
      const some = pending
        .slice(from, from + chunk)
        .sort((p, q) => p.asked.kind - q.asked.kind || length(p) - length(q));
      const answers = await answerer.ask(
        some.map(({ asked }) => questionFor(teacher, asked)),
        { signal },
      );
      await store.add(
        new Map(
          some.map(({ key }, i) => [key, answers[i].distribution.map(({ probability }) => probability)]),
        ),
      );
      done += some.reduce((sum, one) => sum + length(one), 0);
    }
    onProgress(teacher, done, total, pending.length);
  } finally {
    await answerer.close();
  }
}

/**
 * For each question the mean of the teachers' probabilities by their weights. What a teacher has said before is read; an interruption
 * loses the questions of a chunk.
 * @throws what `Answerer.open` and `ask` throw; InvalidArgument where a teacher's tokenizer has no tokens for an answer; the
 *   signal's reason.
 */
export async function askTeachers(
  teachers: readonly Teacher[],
  asked: readonly Asked[],
  options: AskingOptions,
): Promise<Float32Array[]> {
  const sums = new Array<Float64Array | undefined>(asked.length);
  for (const teacher of teachers) {
    const name = teacher.baseCompute === 'fp32' ? teacher.hash : `${teacher.hash}-${teacher.baseCompute}`;
    const store = await AnswerStore.open(join(options.folder, name), (path) =>
      options.note(`${path}: not what it was when it was written; its questions are asked again`),
    );
    const keys = keysOf(teacher, teachers, asked);
    const pending = new Map<string, Pending>();
    keys.forEach((key, i) => {
      if (key !== undefined && store.get(key) === undefined) pending.set(key, { asked: asked[i], key });
    });
    if (pending.size > 0) await askTeacher(teacher, [...pending.values()], store, options);
    keys.forEach((key, i) => {
      if (key === undefined) return;
      const said = store.get(key)!;
      const sum = sums[i] ?? new Float64Array(said.length);
      sums[i] = sum.map((before, c) => before + teacher.weight * said[c]);
    });
  }
  return sums.map((sum) => {
    const whole = sum!.reduce((a, b) => a + b, 0);
    return Float32Array.from(sum!, (p) => p / whole);
  });
}
