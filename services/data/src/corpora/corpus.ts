/** What a corpus is, and how its rows become examples. */
import {
  type Gold,
  labelGold,
  numberGold,
  ratedGold,
  type Scale,
  type SourceExample,
  type Task,
  unitOf,
} from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';

/** One file of a corpus. */
export interface CorpusFile {
  /** Path below `EMOTUNE_CORPORA` and below the cache. */
  readonly path: string;
  readonly url: string;
  readonly sha256: string;
}

export interface Corpus {
  readonly name: string;
  readonly title: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly url: string;
  /** BCP 47. */
  readonly language: string;
  readonly tasks: readonly Task[];
  /** Empty for what is bundled. */
  readonly files: readonly CorpusFile[];
  /** `contents` holds one decoded text per entry of `files`. */
  readonly examples: (contents: readonly string[], skip: Skip) => SourceExample[];
}

/** Notes that a row was passed over, and why, in words that are the same for all such rows. */
export type Skip = (reason: string) => void;

type Draft = Pick<SourceExample, 'text' | 'originalId'> & Partial<Pick<SourceExample, 'split'>>;

function goldOf(value: number, ratings: readonly number[]): Gold {
  return ratings.length > 0 ? ratedGold(value, ratings) : numberGold(value);
}

/**
 * The ratings, where they have the mean that was published, else none: those of items whose raters were selected or weighted
 * afterwards are not what the mean was made of.
 * @param tolerance of the published mean's rounding
 */
export function ratingsOfMean(
  ratings: readonly number[] | undefined,
  mean: number,
  tolerance: number,
): readonly number[] {
  if (ratings === undefined || ratings.length === 0) return [];
  const found = ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length;
  return Math.abs(found - mean) <= tolerance ? ratings : [];
}

/** Builds examples of one corpus, filling in what its rows have in common. */
export function maker(corpus: { name: string; licence: string; language: string }) {
  const common = (task: Task, draft: Draft, suffix = '') => ({
    id: `${corpus.name}/${draft.originalId}${suffix}`,
    source: corpus.name,
    originalId: draft.originalId,
    licence: corpus.licence,
    language: corpus.language,
    task,
    text: draft.text.trim(),
    split: draft.split ?? null,
  });
  return {
    regression: (
      task: 'sentiment-regression' | 'emotion-regression',
      draft: Draft,
      scale: Scale,
      native: number,
      options: { emotion?: string; ratings?: readonly number[]; suffix?: string } = {},
    ): SourceExample => {
      const unit = (rating: number) => unitOf(scale, rating);
      const value = unit(native);
      if (!(value >= -1e-9 && value <= 1 + 1e-9)) {
        throw InvalidArgument.at(
          `${corpus.name}/${draft.originalId}`,
          `expected a label on ${scale.low}..${scale.high}, got ${native}`,
        );
      }
      return {
        ...common(task, draft, options.suffix),
        emotion: options.emotion ?? null,
        scale,
        labelSet: [],
        multiLabel: false,
        gold: goldOf(Math.min(1, Math.max(0, value)), options.ratings?.map(unit) ?? []),
      };
    },
    classification: (
      task: 'sentiment-classification' | 'emotion-classification',
      draft: Draft,
      labels: readonly string[],
      labelSet: readonly string[],
      multiLabel: boolean,
      options: { gold?: Gold; suffix?: string } = {},
    ): SourceExample => ({
      ...common(task, draft, options.suffix),
      emotion: null,
      scale: null,
      labelSet: [...labelSet],
      multiLabel,
      gold: options.gold ?? labelGold([...labels]),
    }),
  };
}
