/** What raters see, part by part, as markup: each works by keyboard alone, and shows texts as texts whatever they hold. */
import { printable } from '@emotune/base';
import { common, evaluation } from '@emotune/proto';
import { type Content, html, type Markup } from '../markup.js';

const { Task } = common;
const { Preference } = evaluation;

/** Of a form: where it goes, and what shows that it is ours. */
export interface FormTarget {
  readonly action: string;
  readonly secret: string;
}

/** Beyond, answers are typed and not chosen. */
const mostChoices = 21;

function hidden(name: string, value: string | number): Markup {
  return html`<input type="hidden" name="${name}" value="${value}">`;
}

/** Text of users: characters that steer are shown as codes, and its direction is its own. */
function said(text: string, language = ''): Markup {
  const lines = printable(text);
  return language === '' ? html`<bdi>${lines}</bdi>` : html`<bdi lang="${language}">${lines}</bdi>`;
}

function problemPart(text: string): Markup {
  return html`<p class="problem" role="alert">${printable(text)}</p>`;
}

/** What raters agree to. @param request makes of a form that is sent twice one rater */
export function consentPart(
  { title, instructions, consent }: evaluation.Invitation,
  { action, secret }: FormTarget,
  request: string,
): Markup {
  return html`<h1 id="focus" tabindex="-1">${said(title)}</h1>
${instructions === '' ? undefined : html`<div class="prose">${said(instructions)}</div>`}
<form method="post" action="${action}">
${hidden('form', secret)}${hidden('request', request)}
<h2>Before you begin</h2>
<div class="prose consent">${said(consent)}</div>
<p class="choice"><input type="checkbox" id="consent" name="consent" value="yes" required data-key="1"><label for="consent"><kbd>1</kbd> I have read this, and I agree.</label></p>
<p><button type="submit">Begin</button></p>
</form>`;
}

interface Choice {
  readonly value: string | number;
  readonly label: Content;
  readonly checked: boolean;
}

/** The keys that choose: digits as they stand for where answers are digits, else 1 to 9 and 0 in their order. */
function keysOf(values: readonly (string | number)[]): readonly string[] {
  if (
    values.every((value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 9)
  )
    return values.map(String);
  return values.map((_, i) => (i < 10 ? String((i + 1) % 10) : ''));
}

function choicesPart(
  name: string,
  type: 'radio' | 'checkbox',
  choices: readonly Choice[],
  kind: 'row' | 'list',
): Markup {
  const keys = keysOf(choices.map(({ value }) => value));
  return html`<div class="choices ${kind}">${choices.map(({ value, label, checked }, i) => {
    const key = keys[i] === '' ? undefined : html`<kbd>${keys[i]}</kbd> `;
    const flags = [type === 'radio' ? html` required` : undefined, checked ? html` checked` : undefined];
    return html`<p class="choice"><input type="${type}" id="answer-${i}" name="${name}" value="${value}" data-key="${keys[i]}"${flags}><label for="answer-${i}">${key}${label}</label></p>`;
  })}</div>`;
}

const ends: Partial<Record<common.Task, readonly [string, string]>> = {
  [Task.TASK_SENTIMENT_REGRESSION]: ['most negative', 'most positive'],
  [Task.TASK_EMOTION_REGRESSION]: ['not at all', 'as much as can be'],
};

function numbersPart(
  { task, values }: evaluation.StudyQuestion,
  answer: evaluation.StudyAnswer | null,
): Markup {
  const [least, most] = ends[task] ?? ['', ''];
  const last = values.length - 1;
  if (values.length > mostChoices) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return html`<p class="choice"><label for="answer-0">From ${values[0]} (${least}) to ${values[last]} (${most}): </label><input type="number" id="answer-0" name="value" min="${low}" max="${high}" step="${Number(Math.abs(values[1] - values[0]).toPrecision(12))}" required value="${answer?.value ?? ''}"></p>`;
  }
  return choicesPart(
    'value',
    'radio',
    values.map((value, i) => ({
      value,
      label: [
        value,
        i === 0 ? html` <small>${least}</small>` : i === last ? html` <small>${most}</small>` : undefined,
      ],
      checked: answer?.value === value,
    })),
    'row',
  );
}

const preferences: readonly [evaluation.Preference, string][] = [
  [Preference.PREFERENCE_BOTH, 'Both fit equally well'],
  [Preference.PREFERENCE_NEITHER, 'Neither fits'],
];

function preferencePart({ answers, answer, asked }: evaluation.StudyItem): Markup {
  const of = (preference: evaluation.Preference, label: Content): Choice => ({
    value: preference,
    label,
    checked: answer?.preference === preference,
  });
  return html`${asked === '' ? undefined : html`<p class="asked">${said(asked)}</p>`}${choicesPart(
    'preference',
    'radio',
    [
      of(Preference.PREFERENCE_FIRST, html`The first: <strong>${said(answers[0])}</strong>`),
      of(Preference.PREFERENCE_SECOND, html`The second: <strong>${said(answers[1])}</strong>`),
      ...preferences.map(([preference, label]) => of(preference, label)),
    ],
    'list',
  )}`;
}

function answerPart(question: evaluation.StudyQuestion, item: evaluation.StudyItem): Markup {
  if (question.comparison) return preferencePart(item);
  if (question.values.length > 0) return numbersPart(question, item.answer ?? null);
  return choicesPart(
    'label',
    question.multiLabel ? 'checkbox' : 'radio',
    question.labels.map((label) => ({
      value: label,
      label: said(label),
      checked: item.answer?.labels.includes(label) ?? false,
    })),
    'list',
  );
}

/** One item. @param again where the last judgement can be changed; empty: nowhere */
export function itemPart(
  { title, question }: evaluation.Invitation,
  { item, judged, total }: evaluation.NextItemResponse & { readonly item: evaluation.StudyItem },
  { action, secret }: FormTarget,
  { problem = '', again = '' }: { readonly problem?: string; readonly again?: string } = {},
): Markup {
  const number = item.answer ? judged : judged + 1;
  return html`<h1>${said(title)}</h1>
<p class="progress"><label for="progress">${number} of ${total}</label> <progress id="progress" max="${total}" value="${judged}"></progress></p>
${problem === '' ? undefined : problemPart(problem)}
<article id="focus" tabindex="-1" class="text" aria-label="Text ${number} of ${total}">${said(item.text, item.language)}</article>
<form method="post" action="${action}">
${hidden('form', secret)}${hidden('item', item.item)}
<fieldset><legend>${said(question!.question)}${item.emotion === '' ? undefined : html` <strong>${said(item.emotion)}</strong>`}</legend>
${answerPart(question!, item)}</fieldset>
<p><button type="submit">${item.answer ? 'Change' : 'Next'}</button>${again === '' ? undefined : html` <a href="${again}">Change the last answer</a>`}</p>
<p class="note">Keys: a number chooses, Enter goes on. You can stop at any time and come back by the same link.</p>
</form>`;
}

/** Nothing to judge now. */
export function donePart(title: string, { judged }: evaluation.NextItemResponse, again = ''): Markup {
  return html`<h1>${said(title)}</h1>
<p id="focus" tabindex="-1">${judged === 0 ? 'There is nothing to judge now: others have judged every text.' : 'That was the last text. Thank you!'}</p>
${again === '' ? undefined : html`<p><a href="${again}">Change the last answer</a></p>`}
<p class="note">You can close this page.</p>`;
}

/** Why nothing can be judged. */
export function messagePart(title: string, text: string): Markup {
  return html`<h1 id="focus" tabindex="-1">${title}</h1><p>${printable(text)}</p>`;
}

/** What a part says to who does not see it change. */
export function statusOf(next: evaluation.NextItemResponse): string {
  return next.item
    ? `Text ${next.item.answer ? next.judged : next.judged + 1} of ${next.total}`
    : `${next.judged} judged, none left`;
}

/** The whole page. */
export function pageOf(
  { title, status = '' }: { readonly title: string; readonly status?: string },
  part: Markup,
): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${printable(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/studies/page.css">
<script src="/studies/page.js" defer></script>
</head>
<body>
<p id="status" role="status">${printable(status)}</p>
<main>
${part}
</main>
</body>
</html>
`;
  return page.text;
}
