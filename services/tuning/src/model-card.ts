/** The README.md of an exported model: front matter as the Hugging Face Hub reads it, then what a user wants to know. Pure. */
import {
  calibrationOf,
  defaultQuestion,
  isRegression,
  licenceConflicts,
  licenceTerms,
  obligations,
  obligationTexts,
  renderPrompt,
  type Task,
  type TaughtInquiry,
  type Teaching,
} from '@emotune/affect';
import type { tuning } from '@emotune/proto';
import type { Results } from './evaluation-results.js';

export interface CardFacts {
  readonly name: string;
  readonly version: string;
  readonly family: string;
  readonly parameters: number;
  readonly format: 'peft' | 'safetensors' | 'onnx';
  /** Of what the card describes. */
  readonly licence: string;
  /** What others load an adapter's base by. */
  readonly base: string;
  readonly lineage: tuning.Lineage | undefined;
  readonly teaching: Teaching | undefined;
  /** Of its evaluation on test rows, where there is one. */
  readonly results: Results | undefined;
}

const libraries = { peft: 'peft', safetensors: 'transformers', onnx: 'onnx' } as const;

/** Names of metrics as the Hub knows them. */
const hubMetrics: Readonly<Record<string, string>> = {
  pearson: 'pearsonr',
  spearman: 'spearmanr',
  rmse: 'rmse',
  accuracy: 'accuracy',
  macroF1: 'f1',
  microF1: 'f1',
};

/** As a scalar of YAML, whatever it holds. */
const scalar = (text: string): string => JSON.stringify(text);

/** A cell of a table. */
const cell = (text: string): string => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');

const figure = (value: number): string => String(Number(value.toPrecision(4)));

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');
}

/** Licences by which the Hub knows them are in lower case; anything else stands under a name of its own. */
function licenceLines(licence: string): string[] {
  if (licence === '') return ['license: unknown'];
  return /^[a-z0-9.-]+$/.test(licence)
    ? [`license: ${licence}`]
    : ['license: other', `license_name: ${scalar(licence)}`];
}

function frontMatter({ name, format, licence, base, lineage, teaching, results }: CardFacts): string {
  const hubName = /^hf:([^@]+)/.exec(base)?.[1];
  const asked = new Set(teaching?.inquiries.map(({ task }) => task) ?? []);
  const tags = [
    'emotune',
    ...(lineage ? ['affective-computing'] : []),
    ...([...asked].some((task) => task.startsWith('sentiment')) ? ['sentiment-analysis'] : []),
    ...([...asked].some((task) => task.startsWith('emotion')) ? ['emotion-recognition'] : []),
    ...(format === 'peft' ? ['lora'] : []),
  ];
  const metrics = [
    ...new Set(
      results?.tasks.flatMap(({ metrics }) => Object.keys(metrics).map((key) => hubMetrics[key] ?? '')) ?? [],
    ),
  ].filter((metric) => metric !== '');
  const list = (key: string, items: readonly string[]) =>
    items.length === 0 ? [] : [`${key}:`, ...items.map((item) => `  - ${scalar(item)}`)];
  return [
    '---',
    ...(lineage ? [`base_model: ${scalar(hubName ?? lineage.baseModel)}`] : []),
    ...licenceLines(licence),
    `library_name: ${libraries[format]}`,
    'pipeline_tag: text-generation',
    `model_name: ${scalar(name)}`,
    ...list('tags', tags),
    ...list('metrics', metrics),
    '---',
  ].join('\n');
}

const taskNames: Readonly<Record<Task, string>> = {
  'sentiment-classification': 'Which sentiment a text shows',
  'sentiment-regression': 'How positive a text is, as a number',
  'emotion-classification': 'Which emotions a text expresses',
  'emotion-regression': 'How strong an emotion is in a text, as a number',
};

function inquiryText(inquiry: TaughtInquiry, { cues, calibrations }: Teaching): string {
  const { task, emotion, scale, labelSet, multiLabel, threshold } = inquiry;
  const calibrated = calibrationOf(calibrations, inquiry)?.labels;
  const prompt = renderPrompt(
    defaultQuestion(task, '{text}', { cues: cues ? '{cues}' : '', taught: inquiry }),
  );
  const answer = isRegression(task)
    ? `The answer is a number from ${scale?.low} to ${scale?.high}.`
    : multiLabel
      ? `The answer is one or more of ${labelSet.join(', ')}, in alphabetical order with commas; a label counts from ${calibrated ? 'its own threshold' : `a probability of ${threshold}`} on.`
      : `The answer is one of ${labelSet.join(', ')}.`;
  return [
    `### ${task}${emotion ? `: ${emotion}` : ''}`,
    '',
    `${taskNames[task]}. ${answer}`,
    '',
    '```',
    prompt,
    '```',
  ].join('\n');
}

function promptSection({ teaching }: CardFacts): string[] {
  if (!teaching || teaching.inquiries.length === 0) return [];
  const { cues, inquiries } = teaching;
  return [
    '## How to ask',
    '',
    'Put the text, on one line, in place of `{text}`; the model goes on with its answer and then its end of sequence.',
    ...(cues
      ? [
          'In place of `{cues}` stands what sentiment lexicons find in it, as `emotune features explain` prints it.',
        ]
      : []),
    'Answers are most reliable when each allowed one is scored by its likelihood, as `emotune analyze` does.',
    '`emotune.json` holds the label sets and scales, and how answers are calibrated.',
    '',
    ...inquiries.flatMap((inquiry) => [inquiryText(inquiry, teaching), '']),
  ];
}

function evaluationSection({ results }: CardFacts): string[] {
  if (!results || results.tasks.length === 0) return [];
  const rows = results.tasks.flatMap(({ task, n, metrics, intervals }) =>
    Object.entries(metrics).map(([metric, value]) => {
      const interval = intervals[metric];
      return [
        task,
        metric,
        figure(value),
        interval ? `${figure(interval.low)} to ${figure(interval.high)}` : '',
        String(n),
      ];
    }),
  );
  const { dataset, datasetVersion, split } = results;
  return [
    '## Evaluation',
    '',
    `On the ${split} rows of ${dataset}${datasetVersion === '' ? '' : `@${datasetVersion}`}, with 95 % bootstrap intervals.`,
    '',
    table(['task', 'metric', 'value', 'interval', 'rows'], rows),
    '',
  ];
}

function lineageSection({ lineage, base }: CardFacts): string[] {
  if (!lineage) return [];
  const at = (name: string, version: string) => (version === '' ? name : `${name}@${version}`);
  const parameters = Object.entries(lineage.parameters)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(', ');
  const facts: [string, string][] = [
    ['base model', at(lineage.baseModel, lineage.baseVersion)],
    ...(base.startsWith('hf:') ? ([['base model from', base]] as [string, string][]) : []),
    ['licence of the base model', lineage.baseLicence || 'unknown'],
    ['experiment', `${lineage.experiment}, trial ${lineage.trial}`],
    ['dataset', at(lineage.dataset, lineage.datasetVersion)],
    ['features', at(lineage.features, lineage.featuresVersion)],
    ['trained', `${lineage.tokens} tokens, seed ${lineage.seed}`],
    ['parameters', parameters],
    ['EmoTune', lineage.codeVersion],
  ];
  return [
    '## Where it comes from',
    '',
    table(
      ['', ''],
      facts.filter(([, value]) => value !== ''),
    ),
    '',
    ...(lineage.sources.length === 0
      ? []
      : [
          'Its dataset is made of:',
          '',
          table(
            ['source', 'licence', 'rows', 'from'],
            lineage.sources.map(({ name, licence, rows, url }) => [name, licence, String(rows), url]),
          ),
          '',
          ...obligationLines(lineage),
        ]),
  ];
}

/** What the licences of the data and of the base model ask, by obligation, and which of them do not go together. */
function obligationLines({ sources, baseLicence }: tuning.Lineage): string[] {
  const named = [
    ...sources.map(({ name, licence }) => ({ name, licence })),
    ...(baseLicence === '' ? [] : [{ name: 'the base model', licence: baseLicence }]),
  ].map((one) => ({ ...one, terms: licenceTerms(one.licence) }));
  const asking = obligations.flatMap((obligation) => {
    const by = named.filter(({ terms }) => terms.obligations.includes(obligation));
    return by.length === 0
      ? []
      : [[obligation, obligationTexts[obligation], by.map(({ name }) => name).join(', ')]];
  });
  const unknown = named.filter(({ terms }) => !terms.known).map(({ name }) => name);
  const conflicts = licenceConflicts(named.map(({ licence }) => licence));
  return [
    'Its licences ask of whoever passes it on, or what was made with it:',
    '',
    table(['obligation', 'that is', 'for the sake of'], asking),
    '',
    ...(unknown.length === 0
      ? []
      : [`The terms of ${unknown.join(', ')} are not known: until they are, count on the strictest.`, '']),
    ...conflicts.flatMap(({ licences: [one, other], reason }) => [
      `${one} and ${other} do not go together: ${reason}.`,
      '',
    ]),
  ];
}

const loading: Readonly<Record<CardFacts['format'], string>> = {
  peft: "An adapter in PEFT's format: `AutoPeftModelForCausalLM.from_pretrained` loads it with the base that `adapter_config.json` names.",
  safetensors: 'A whole checkpoint: `AutoModelForCausalLM.from_pretrained` loads it.',
  onnx: 'One ONNX graph with a key-value cache, with the inputs and outputs that Optimum gives such files: `model.onnx`.',
};

/** Markdown. */
export function modelCard(facts: CardFacts): string {
  const { name, version, family, parameters, format, lineage } = facts;
  const what = lineage ? `fine-tuned with EmoTune to tell what texts feel` : 'a base model';
  return [
    frontMatter(facts),
    '',
    `# ${name}`,
    '',
    `A language model of the ${family.toUpperCase()} family (${parameters.toLocaleString('en-US')} parameters), ${what}. Version ${version}.`,
    '',
    loading[format],
    '',
    ...promptSection(facts),
    ...evaluationSection(facts),
    ...lineageSection(facts),
  ]
    .join('\n')
    .replace(/\n+$/, '\n');
}
