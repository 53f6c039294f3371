/**
 * Which rows come when, and their batches as tensors. Pure: the same rows, spec and cursor give the same batches, so a
 * run resumes by its cursor alone.
 */
import { Rng } from '@emotune/base';
import { bool, float32, type HostTensor } from '@emotune/engine';
import type { CandidateTree } from '@emotune/models';
import { parentsOf } from './candidate-rows.js';
import { competence, difficultyRanks, mixingQuotas } from './curriculum.js';
import type { NumberAnswer } from './number-answers.js';
import { answersOf, type Packing, packRows, planPacking } from './packing.js';
import type { TrainSpec } from './spec.js';
import type { TeacherAnswer } from './teacher-answers.js';

/** One example. */
export interface Row {
  readonly id: string;
  /** The subtask, by which stages choose. */
  readonly task: string;
  readonly tokens: Int32Array;
  /** The loss is over tokens from this index on (token 0 is never predicted). */
  readonly answerStart: number;
  /** How far apart its raters were, where that is known. */
  readonly spread?: number | null;
  /** What an answer that is a number means, for losses that compare numbers. */
  readonly number?: NumberAnswer;
  /** What a teacher holds of every answer, for distillation. */
  readonly teacher?: TeacherAnswer;
  /** Candidates that lie behind the answer (`withCandidates`). */
  readonly tree?: CandidateTree;
}

/** The static shape of a batch: `batch` lines of `sequence` tokens with `answers` labelled tokens in all. */
export interface BatchShape {
  readonly batch: number;
  readonly sequence: number;
  readonly answers: number;
}

export interface Batch extends BatchShape {
  readonly rows: readonly Row[];
  /** For each row the place of its first token, line · sequence + offset. */
  readonly starts: readonly number[];
}

/** A stage's competence grows this often at least. */
const competenceSteps = 32;

/** Padding not counted. */
export function tokensOf(rows: readonly Row[]): number {
  return rows.reduce((n, row) => n + row.tokens.length, 0);
}

/** As many rows as asked, in the given order, from the beginning again where there are not so many. */
function take(rows: readonly Row[], count: number): Row[] {
  return Array.from({ length: rows.length > 0 ? count : 0 }, (_, i) => rows[i % rows.length]);
}

/** Where an epoch stands within its stage. */
export interface EpochPlace {
  readonly stage: number;
  readonly epoch: number;
  /** Tokens of the stage that were trained on before the epoch. */
  readonly stageTokens: number;
}

/** The stream of random numbers of an epoch. */
function epochRng({ seed }: TrainSpec, { stage, epoch }: EpochPlace): Rng {
  return Rng.of(seed, 'stage', stage, 'epoch', epoch);
}

/**
 * The rows of one epoch of one stage in random order: its own, each once, or mixed by temperature, and a draw of each
 * earlier subtask's rows for replay. With a competence curriculum an epoch is a draw of the rows that are easy enough at
 * its beginning, and short, so that the next one is soon.
 */
function epochRows(rows: readonly Row[], spec: TrainSpec, place: EpochPlace): Row[] {
  const { stage, stageTokens } = place;
  const { tasks, replay, mixingTemperature, competence: staged, tokens } = spec.stages[stage];
  const rng = epochRng(spec, place);
  const shuffled = (task: string, some: readonly Row[]) => rng.child('task', task).shuffle(some);
  const inStage = rows.filter((row) => tasks.includes(row.task));
  let allowed = inStage;
  if (staged) {
    const ranks = difficultyRanks(inStage, staged.difficulty);
    const reached = competence(stageTokens / tokens, staged.start);
    const easy = inStage.filter((_, i) => ranks[i] <= reached);
    allowed = easy.length > 0 ? easy : [inStage[ranks.indexOf(Math.min(...ranks))]];
  }
  const groups = tasks.map((task) => allowed.filter((row) => row.task === task));
  const quotas = mixingQuotas(
    groups.map((group) => group.length),
    mixingTemperature,
  );
  const own = groups.flatMap((group, i) => take(shuffled(tasks[i], group), quotas[i]));
  const before = new Set(spec.stages.slice(0, stage).flatMap((earlier) => earlier.tasks));
  const replayed = [...before]
    .filter((task) => !tasks.includes(task))
    .flatMap((task) =>
      rng
        .child('replay', task)
        .shuffle(rows.filter((row) => row.task === task))
        .slice(0, Math.round(own.length * replay)),
    );
  const mixed = rng.shuffle([...own, ...replayed]);
  const step = spec.batchTokens * spec.gradientAccumulation;
  const most = staged ? Math.max(step, tokens / competenceSteps) : Number.POSITIVE_INFINITY;
  let [count, drawn] = [0, 0];
  while (count < mixed.length && drawn < most) drawn += mixed[count++].tokens.length;
  return mixed.slice(0, count);
}

/** The batches of an epoch's rows, in random order. */
export function epochBatches(
  rows: readonly Row[],
  spec: TrainSpec,
  packing: Packing,
  place: EpochPlace,
): Batch[] {
  const batches = packRows(epochRows(rows, spec, place), packing);
  return epochRng(spec, place).child('batches').shuffle(batches);
}

/** The shapes of a run's batches: for what its stages draw, and rows for validation, no longer than `maxSequence`. */
export function packingOf(
  rows: { readonly train: readonly Row[]; readonly validation: readonly Row[] },
  spec: TrainSpec,
  { width, maxSequence }: Pick<Packing, 'width' | 'maxSequence'>,
): Packing {
  const draws = spec.stages.map(({ tokens }, stage) => ({
    rows: epochRows(rows.train, spec, { stage, epoch: 0, stageTokens: tokens }),
    tokens,
  }));
  const { batchTokens, packing } = spec;
  return planPacking(draws, [...rows.train, ...rows.validation], {
    batchTokens,
    packing,
    width,
    maxSequence,
  });
}

/**
 * Of micro-batches what `most` tokens allow: as they are where all fit; else, batch by batch, the rows that still fit, and in
 * any case one.
 */
export function within(batches: readonly Batch[], most: number): readonly Batch[] {
  if (batches.reduce((n, { rows }) => n + tokensOf(rows), 0) <= most) return batches;
  let rest = most;
  const cut = batches.flatMap((batch): Batch[] => {
    const kept = batch.rows.map(({ tokens }) => {
      const fits = tokens.length <= rest;
      if (fits) rest -= tokens.length;
      return fits;
    });
    return kept.includes(true) ? [keeping(batch, (i) => kept[i])] : [];
  });
  if (cut.length > 0) return cut;
  const [batch] = batches;
  const shortest = Math.min(...batch.rows.map(({ tokens }) => tokens.length));
  const only = batch.rows.findIndex(({ tokens }) => tokens.length === shortest);
  return [keeping(batch, (i) => i === only)];
}

function keeping({ rows, starts, ...shape }: Batch, keeps: (row: number) => boolean): Batch {
  return { ...shape, rows: rows.filter((_, i) => keeps(i)), starts: starts.filter((_, i) => keeps(i)) };
}

export interface Feeds {
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** For each answer that is not padding, the row it belongs to. */
  readonly rowOfAnswer: Int32Array;
  /** Tokens that are not padding. */
  readonly tokens: number;
}

/**
 * The batch as tensors. A token attends to those of its own row that it follows and to itself, and its position is their
 * number; padding attends to itself alone, so nothing is undefined.
 */
export function feedsOf({ rows, starts, batch, sequence, answers }: Batch): Feeds {
  const ids = new BigInt64Array(batch * sequence);
  const positions = new BigInt64Array(batch * sequence);
  const mask = new Uint8Array(batch * sequence * sequence);
  const index = new BigInt64Array(answers);
  const target = new BigInt64Array(answers);
  const weight = new Float32Array(answers);
  const rowOfAnswer: number[] = [];
  for (let at = 0; at < batch * sequence; at++) mask[at * sequence + (at % sequence)] = 1;
  rows.forEach((row, r) => {
    const start = starts[r];
    const first = start % sequence;
    const parents = parentsOf(row);
    const answerEnd = Math.max(1, row.answerStart) + answersOf(row);
    for (let t = 0; t < row.tokens.length; t++) {
      const at = start + t;
      const parent = parents[t];
      ids[at] = BigInt(row.tokens[t]);
      if (parent >= 0) {
        positions[at] = positions[start + parent] + 1n;
        const above = (start + parent) * sequence + first;
        mask.copyWithin(at * sequence + first, above, above + parent + 1);
      }
      mask[at * sequence + first + t] = 1;
      if (t >= Math.max(1, row.answerStart) && t < answerEnd) {
        const n = rowOfAnswer.push(r) - 1;
        index[n] = BigInt(at - 1);
        target[n] = ids[at];
      }
    }
  });
  weight.fill(1 / Math.max(1, rowOfAnswer.length), 0, rowOfAnswer.length);
  return {
    feeds: {
      input_ids: { dtype: 'int64', shape: [batch, sequence], data: ids },
      positions: { dtype: 'int64', shape: [batch, sequence], data: positions },
      mask: bool([batch, 1, sequence, sequence], mask),
      answer_index: { dtype: 'int64', shape: [answers], data: index },
      answer_target: { dtype: 'int64', shape: [answers], data: target },
      answer_weight: float32([answers], weight),
    },
    rowOfAnswer: Int32Array.from(rowOfAnswer),
    tokens: tokensOf(rows),
  };
}
