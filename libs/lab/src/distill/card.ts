/** The README.md of a distilled model: who taught it what, on which texts, under which licences. Pure. */
import { basename } from 'node:path';
import { type Inquiry, isRegression } from '@emotune/affect';
import type { DataSource } from './texts.js';

interface DistilledFacts {
  readonly name: string;
  readonly family: string;
  readonly teachers: readonly {
    readonly model: string;
    readonly hash: string;
    readonly licence: string | undefined;
    readonly weight: number;
  }[];
  readonly student: { readonly model: string; readonly hash: string; readonly licence: string | undefined };
  readonly sources: readonly DataSource[];
  readonly questions: readonly {
    readonly inquiry: Inquiry;
    readonly asked: number;
    readonly golds: number;
  }[];
  readonly rows: { readonly train: number; readonly heldOut: number };
  readonly temperature: number;
  readonly goldWeight: number;
  readonly tokens: number;
  readonly seed: number;
  readonly learningRate: number;
  readonly method: string;
  /** From the teachers on held-out rows, nats a row; null where nothing was held out. */
  readonly distance: number | null;
}

const unknown = 'unknown';
const count = (n: number) => n.toLocaleString('en');
/** A cell of a table. */
const cell = (text: string) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');
}

/** One licence where student and teachers have it in common, else all of them by name. */
function licenceLines({ teachers, student }: DistilledFacts): string {
  const all = [...new Set([student, ...teachers].map(({ licence }) => licence ?? unknown))];
  const [first] = all;
  if (all.length === 1 && /^[a-z0-9.-]+$/i.test(first)) return `license: ${first.toLowerCase()}`;
  return `license: other\nlicense_name: ${JSON.stringify(all.join(' and '))}`;
}

function inquiryText({ task, emotion, scale, labelSet, multiLabel }: Inquiry): string {
  const of = emotion === null ? '' : ` of ${emotion}`;
  if (isRegression(task)) return `${task}${of} on ${scale!.low}..${scale!.high}`;
  return `${task}, ${multiLabel ? 'one or more' : 'one'} of ${labelSet.join(', ')}`;
}

export function distilledCard(facts: DistilledFacts): string {
  const { teachers, student, sources, questions, rows, temperature, goldWeight, distance } = facts;
  const named = teachers.map(({ model }) => basename(model)).join(', ');
  const held =
    distance === null
      ? ''
      : ` On ${count(rows.heldOut)} rows of texts that were held out it is ${distance.toFixed(3)} nats a row from its teachers.`;
  return `---
${licenceLines(facts)}
library_name: transformers
tags:
  - emotune
  - distillation
---
# ${facts.name}

${basename(student.model)} (${facts.family}), taught by ${named}: it learnt how probable its teachers held each allowed answer to
questions about texts, with \`emotune distill\`.${held}

## Lineage
${table(
  ['', 'model', 'licence', 'weight', 'SHA-256 of its files'],
  [
    ['student', basename(student.model), student.licence ?? unknown, '', student.hash],
    ...teachers.map(({ model, licence, weight, hash }) => [
      'teacher',
      basename(model),
      licence ?? unknown,
      String(weight),
      hash,
    ]),
  ],
)}

## Texts
${table(
  ['source', 'licence', 'texts'],
  sources.map(({ name, licence, texts }) => [name, licence ?? unknown, count(texts)]),
)}

## Questions
${table(
  ['question', 'texts', 'of them with a gold answer'],
  questions.map(({ inquiry, asked, golds }) => [inquiryText(inquiry), count(asked), count(golds)]),
)}

## Training
${facts.method}, ${count(rows.train)} rows, ${count(facts.tokens)} tokens, learning rate ${facts.learningRate}, seed ${facts.seed}. Temperature ${temperature};
the loss of a gold answer has a share of ${goldWeight} where there is one. Where no gold answer is known the teachers' distribution is all
that is learnt, so their mistakes are, too.
`;
}
