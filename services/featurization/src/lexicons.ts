/** The lexicons whose cues go into the prompts of a feature set. */
import {
  bundledAfinn,
  type Example,
  InducedCounts,
  type KeptLexicon,
  Lexicons,
  type Split,
  WordCounts,
} from '@emotune/affect';
import { sha256 } from '@emotune/base';

/** Parts of the train rows, each of which gets the cues of a lexicon that was induced from the others. */
const folds = 4;

/** All rows of one text are in one fold. */
function foldOf(text: string): number {
  return Number.parseInt(sha256(text).slice(0, 8), 16) % folds;
}

export interface FeatureLexicons {
  /** What a model needs that is to read the cues; none where VADER and AFINN are all there is. */
  readonly kept: readonly KeptLexicon[];
  /** @param origin the example that an edited one was made from, whose fold it is in */
  cuesOf(example: Example, split: Split, origin?: Example): string;
}

/** Cues of VADER, AFINN and what else is given. */
export function givenLexicons(given: readonly KeptLexicon[]): FeatureLexicons {
  const all = new Lexicons([bundledAfinn(), ...given]);
  return { kept: given, cuesOf: ({ text, language }) => all.explain(text, language).cueText };
}

/**
 * Cues of VADER, AFINN, what else is given, and of a lexicon that is induced from train rows. A train row is told by the lexicon of
 * the other folds: one that had seen its own answer would teach a model to trust it more than it may.
 * @param train The rows, each time from the first one on.
 */
export async function inducedLexicons(
  train: () => AsyncIterable<Example>,
  given: readonly KeptLexicon[],
  { licence, source }: Pick<KeptLexicon, 'licence' | 'source'>,
): Promise<FeatureLexicons> {
  const words = new WordCounts();
  for await (const example of train()) words.add(example);
  const counts = new InducedCounts(words.usual(), folds);
  for await (const example of train()) counts.add(example, foldOf(example.text));
  const known = [bundledAfinn(), ...given];
  const induced = counts
    .lexicons()
    .map((lexicon) => ({ ...lexicon, licence, source, redistributable: true }));
  const whole = new Lexicons([...known, ...induced]);
  const without = Array.from(
    { length: folds },
    (_, fold) => new Lexicons([...known, ...counts.lexicons(fold)]),
  );
  return {
    kept: [...given, ...induced],
    cuesOf: (example, split, origin = example) => {
      const lexicons = split === 'train' ? without[foldOf(origin.text)] : whole;
      return lexicons.explain(example.text, example.language).cueText;
    },
  };
}
