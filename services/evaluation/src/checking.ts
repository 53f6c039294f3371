/** Asks a model what the behavioural checks need to know. */
import {
  calibrated,
  labelGold,
  labelInquiry,
  labelSets,
  type Question,
  questionOf,
  type Teaching,
  taughtInquiry,
} from '@emotune/affect';
import { type CheckAnswer, checks, outcomesOf } from '@emotune/affect/checks';
import type { Answerer } from '@emotune/answering';
import type { evaluation } from '@emotune/proto';

/** Questions asked between two reports of progress. */
const chunk = 128;
const language = 'en';
const usualScale = { low: -4, high: 4 };

/** Failures of a capability that are kept. */
const shown = 10;

export async function checkBehaviour(
  answerer: Answerer,
  teaching: Teaching | undefined,
  onProgress: (done: number, total: number) => void,
): Promise<evaluation.CheckResult[]> {
  const all = checks();
  const scale = taughtInquiry(teaching, 'sentiment-regression')?.scale ?? usualScale;
  const number = {
    task: 'sentiment-regression',
    emotion: null,
    scale,
    labelSet: [],
    multiLabel: false,
  } as const;
  const inquiries = {
    sentiment: labelInquiry(teaching, 'sentiment-classification', labelSets.sentiment3),
    valence: number,
    emotion: labelInquiry(teaching, 'emotion-classification', labelSets.ekman),
  };
  const wanted = new Map<string, { readonly part: keyof typeof inquiries; readonly question: Question }>();
  const want = (part: keyof typeof inquiries, text: string, paraphrase: number) => {
    const example = { ...inquiries[part], id: '', source: '', language, text, gold: labelGold([]) };
    const cues = (teaching?.cues ?? true) ? answerer.lexicons.explain(text, language).cueText : '';
    const question = calibrated(teaching, questionOf(example, { cues, paraphrase }));
    wanted.set(keyOf(part, text, paraphrase), { part, question });
  };
  for (const { test, text, changed, paraphrase } of all) {
    for (const part of ['sentiment', 'valence'] as const) {
      want(part, text, 0);
      if (changed !== null) want(part, changed, paraphrase);
    }
    if (test === 'emotion') want('emotion', text, 0);
  }
  const entries = [...wanted];
  const answers = new Map<string, string | number>();
  for (let from = 0; from < entries.length; from += chunk) {
    const asked = entries.slice(from, from + chunk);
    const given = await answerer.ask(asked.map(([, { question }]) => question));
    asked.forEach(([key, { part }], i) => {
      answers.set(key, part === 'valence' ? given[i].value! : given[i].leading!);
    });
    onProgress(Math.min(entries.length, from + chunk), entries.length);
  }
  const answerOf = (text: string, paraphrase: number): CheckAnswer => ({
    sentiment: answers.get(keyOf('sentiment', text, paraphrase)) as string,
    valence: answers.get(keyOf('valence', text, paraphrase)) as number,
    emotion: answers.get(keyOf('emotion', text, paraphrase)) as string | undefined,
  });
  return outcomesOf(all, answerOf).map(({ failures, ...outcome }) => ({
    ...outcome,
    failures: failures.slice(0, shown).map((failure) => ({ ...failure, changed: failure.changed ?? '' })),
  }));
}

function keyOf(part: string, text: string, paraphrase: number): string {
  return JSON.stringify([part, text, paraphrase]);
}
