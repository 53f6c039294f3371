/** What the judgements of a study tell: of raters, of the model beside them, of two models beside each other. */
import { alphaInterval, krippendorffAlpha, signTest, type Unit, wilsonInterval } from '@emotune/affect';
import { mean, Rng } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import { type Answer, passes } from './answers.js';
import type { Item } from './items.js';
import { agreementWith, byItem, isNumeric, type Judged, keyOf } from './panel.js';
import type { StudyQuestion } from './question.js';

interface Judgement extends Judged {
  /** From when the item was given to when it was judged. */
  readonly seconds: number;
}

export interface ReportInput {
  readonly name: string;
  readonly question: StudyQuestion;
  /** Share of the attention checks that a rater has to pass. */
  readonly pass: number;
  readonly seed: number;
  /** By their numbers. */
  readonly items: ReadonlyMap<number, Item>;
  readonly raters: readonly { readonly number: number; readonly name: string }[];
  readonly judgements: readonly Judgement[];
  /** name@version of the models that are compared. */
  readonly models: readonly [string, string] | undefined;
}

function medianOf(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How a rater did in the attention checks. */
export interface Attention {
  readonly checks: number;
  readonly passed: number;
  readonly failed: boolean;
}

/** By the rater's number; of a rater without checks it tells nothing, who then has not failed. */
export function attentionOf({
  items,
  judgements,
  pass,
  raters,
}: Pick<ReportInput, 'items' | 'judgements' | 'pass' | 'raters'>): ReadonlyMap<number, Attention> {
  const outcomes = new Map(raters.map(({ number }) => [number, { checks: 0, passed: 0 }]));
  for (const { item, rater, answer } of judgements) {
    const of = items.get(item)!;
    if (of.right === null) continue;
    const outcome = outcomes.get(rater)!;
    outcome.checks++;
    if (passes(of, answer)) outcome.passed++;
  }
  return new Map(
    [...outcomes].map(([rater, { checks, passed }]) => [
      rater,
      { checks, passed, failed: checks > 0 && passed < pass * checks },
    ]),
  );
}

/** Raters' answers as numbers, unit by unit. */
function agreementOf(
  label: string,
  units: readonly Unit[],
  numeric: boolean,
  rng: Rng,
): evaluation.Agreement {
  const pairable = units.filter(({ length }) => length >= 2);
  return {
    label,
    items: pairable.length,
    judgements: pairable.reduce((sum, { length }) => sum + length, 0),
    nominal: krippendorffAlpha(units, 'nominal'),
    ordinal: numeric ? krippendorffAlpha(units, 'ordinal') : undefined,
    interval: numeric ? krippendorffAlpha(units, 'interval') : undefined,
    confidence: alphaInterval(units, numeric ? 'interval' : 'nominal', rng),
  };
}

function agreements(
  items: readonly (readonly Judged[])[],
  question: StudyQuestion,
  seed: number,
): evaluation.Agreement[] {
  const rng = (label: string) => Rng.of(seed, 'agreement', label);
  const unitsBy = (code: (answer: Answer) => number): Unit[] =>
    items.map((of) => of.map(({ answer }) => code(answer)));
  if (isNumeric(question))
    return [
      agreementOf(
        '',
        unitsBy((answer) => (answer.kind === 'value' ? answer.value : 0)),
        true,
        rng(''),
      ),
    ];
  const codes = new Map<string, number>();
  const whole = unitsBy((answer) => {
    const key = keyOf(answer);
    if (!codes.has(key)) codes.set(key, codes.size);
    return codes.get(key)!;
  });
  const parts =
    question.kind === 'rating' && question.multiLabel
      ? question.labels.map((label) =>
          agreementOf(
            label,
            unitsBy((answer) => (answer.kind === 'labels' && answer.labels.includes(label) ? 1 : 0)),
            false,
            rng(label),
          ),
        )
      : [];
  return [agreementOf('', whole, false, rng('')), ...parts];
}

/** A rater's judgements beside those of the others, where there are others. */
function besideOthers(items: ReadonlyMap<number, readonly Judged[]>, rater: number) {
  return [...items].flatMap(([item, all]) => {
    const own = all.find((one) => one.rater === rater);
    const others = all.filter((one) => one.rater !== rater).map(({ answer }) => answer);
    return own && others.length > 0 ? [{ item, own: own.answer, panel: others }] : [];
  });
}

function modelOf(
  items: ReadonlyMap<number, readonly Judged[]>,
  { question, items: known, raters }: ReportInput,
): evaluation.ModelAgreement | undefined {
  const ofModel = (item: number) => known.get(item)!.model;
  const pairs = raters.flatMap(({ number }) => {
    const rows = besideOthers(items, number).filter(({ item }) => ofModel(item) !== null);
    const rater = agreementWith(rows, question);
    const model = agreementWith(
      rows.map(({ item, panel }) => ({ own: ofModel(item)!, panel })),
      question,
    );
    return rater === undefined || model === undefined ? [] : [{ rater, model }];
  });
  if (pairs.length === 0) return undefined;
  const all = [...items].filter(([item]) => ofModel(item) !== null);
  return {
    metric: isNumeric(question) ? 'pearson' : 'accuracy',
    model: mean(pairs.map(({ model }) => model)),
    raters: mean(pairs.map(({ rater }) => rater)),
    n: pairs.length,
    panel: agreementWith(
      all.map(([item, of]) => ({ own: ofModel(item)!, panel: of.map(({ answer }) => answer) })),
      question,
    ),
    panelItems: all.length,
  };
}

function preferencesOf(
  items: ReadonlyMap<number, readonly Judged[]>,
  models: readonly [string, string],
): evaluation.Preferences {
  const counts = { first: 0, second: 0, both: 0, neither: 0 };
  const won = { first: 0, second: 0, drawn: 0 };
  for (const all of items.values()) {
    let lead = 0;
    for (const { answer } of all) {
      if (answer.kind !== 'choice') continue;
      counts[answer.choice]++;
      lead += answer.choice === 'first' ? 1 : answer.choice === 'second' ? -1 : 0;
    }
    won[lead > 0 ? 'first' : lead < 0 ? 'second' : 'drawn']++;
  }
  const decided = won.first + won.second;
  return {
    ...counts,
    ...{ itemsFirst: won.first, itemsSecond: won.second, itemsDrawn: won.drawn },
    winRate: decided === 0 ? undefined : won.first / decided,
    confidence: wilsonInterval(won.first, decided),
    pValue: signTest(won.first, won.second),
    ...{ firstModel: models[0], secondModel: models[1] },
  };
}

/** @param excludeFailed whether raters who failed their attention checks are left out of everything but their own lines */
export function reportOf(input: ReportInput, excludeFailed: boolean): evaluation.StudyReport {
  const { name, question, seed, items, raters, judgements, models } = input;
  const attention = attentionOf(input);
  const rows = judgements.filter(({ item }) => items.get(item)!.right === null);
  const failed = raters.filter(({ number }) => attention.get(number)!.failed);
  const out = new Set(excludeFailed ? failed.map(({ number }) => number) : []);
  const kept = rows.filter(({ rater }) => !out.has(rater));
  const judged = byItem(kept);
  const everybody = byItem(rows);
  return {
    name,
    items: judged.size,
    judgements: kept.length,
    failedRaters: failed.length,
    excludedRaters: out.size,
    excludedJudgements: rows.length - kept.length,
    agreement: agreements([...judged.values()], question, seed),
    raters: raters.map(({ number, name: called }) => {
      const { checks, passed, failed: hasFailed } = attention.get(number)!;
      const own = rows.filter(({ rater }) => rater === number);
      // One who is left out beside those who are not.
      const beside = besideOthers(judged, number);
      const rest = out.has(number)
        ? besideOthers(everybody, number).flatMap((row) => {
            const panel = (judged.get(row.item) ?? []).map(({ answer }) => answer);
            return panel.length > 0 ? [{ ...row, panel }] : [];
          })
        : beside;
      return {
        name: called,
        judgements: own.length,
        checks,
        checksPassed: passed,
        failed: hasFailed,
        agreement: agreementWith(rest, question),
        agreementItems: rest.length,
        medianSeconds: medianOf(own.map(({ seconds }) => seconds)),
      };
    }),
    model:
      question.kind === 'rating'
        ? modelOf(judged, { ...input, raters: raters.filter(({ number }) => !out.has(number)) })
        : undefined,
    preferences: models ? preferencesOf(judged, models) : undefined,
  };
}
