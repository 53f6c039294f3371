/** Variants of the texts of train rows, as a plan asks for them. The same row, seed and plan give the same variants. */
import { type Example, explain, isRegression } from '@emotune/affect';
import { FailedPrecondition, Rng } from '@emotune/base';
import { type MethodName, methodOf } from './methods.js';
import { type Endpoint, keepsLabel, Rewriter } from './rewriting.js';
import { WordNet } from './wordnet.js';

export interface Augmentation {
  readonly method: MethodName;
  /** Share of the train rows that get a variant; 0 to 1. */
  readonly share: number;
  /** Share of the words that is edited. */
  readonly strength: number;
  /** Back-translation: the language between, BCP 47. */
  readonly language: string;
}

/** What methods need beside texts. */
export interface AugmentationSources {
  /** Folder of WordNet's files. */
  readonly wordNet?: string | undefined;
  readonly endpoint?: Endpoint | undefined;
}

interface Variant {
  readonly method: MethodName;
  readonly text: string;
}

const needsOf = (plan: readonly Augmentation[]) => new Set(plan.map(({ method }) => methodOf(method).needs));

/** What a plan needs that is not there, and what to do. */
export function missingSources(
  plan: readonly Augmentation[],
  { wordNet, endpoint }: AugmentationSources,
): string[] {
  const needs = needsOf(plan);
  const missing: string[] = [];
  if (needs.has('endpoint') && !endpoint)
    missing.push(
      'expected an endpoint that rewrites texts, got none: set EMOTUNE_REWRITER_URL of the featurization service',
    );
  if (needs.has('dictionary') && wordNet === undefined)
    missing.push(
      'expected a dictionary for synonyms, got none: set EMOTUNE_WORDNET of the featurization service to the dict folder of WordNet 3.1',
    );
  return missing;
}

export class Augmenter {
  private constructor(
    private readonly plan: readonly Augmentation[],
    private readonly seed: number,
    private readonly wordNet: WordNet | undefined,
    private readonly rewriter: Rewriter | undefined,
  ) {}

  /** @throws FailedPrecondition when something is needed that is not there. */
  static async open(
    plan: readonly Augmentation[],
    seed: number,
    { wordNet, endpoint }: AugmentationSources,
  ): Promise<Augmenter> {
    const missing = missingSources(plan, { wordNet, endpoint });
    if (missing.length > 0) throw new FailedPrecondition(missing.join('; '));
    const needs = needsOf(plan);
    return new Augmenter(
      plan,
      seed,
      needs.has('dictionary') ? await WordNet.open(wordNet!) : undefined,
      needs.has('endpoint') ? new Rewriter(endpoint!) : undefined,
    );
  }

  /** Variants of a train row's text with its label, in the order of the plan. @throws as `Rewriter` */
  async variants(example: Pick<Example, 'id' | 'text' | 'task' | 'language'>): Promise<Variant[]> {
    const variants: Variant[] = [];
    for (const augmentation of this.plan) {
      const { method, share, language } = augmentation;
      // Languages tell two back-translations of one row apart.
      const rng = Rng.of(this.seed, 'augment', method, language, example.id);
      if (rng.uniform() >= share) continue;
      const text = await this.variant(example, augmentation, rng);
      if (text !== undefined && text !== example.text) variants.push({ method, text });
    }
    return variants;
  }

  private async variant(
    { text, task, language }: Pick<Example, 'text' | 'task' | 'language'>,
    { method, strength, language: between }: Augmentation,
    rng: Rng,
  ): Promise<string | undefined> {
    const { edit, anyLanguage } = methodOf(method);
    if (!anyLanguage && language.split('-')[0] !== 'en') return undefined;
    const exact = isRegression(task);
    if (edit) {
      const synonyms = (word: string) => this.wordNet?.synonyms(word) ?? [];
      const edited = edit(text, { rng, strength, exact, synonyms });
      return edited !== undefined && (anyLanguage || feelsSame(text, edited, exact)) ? edited : undefined;
    }
    const rewritten =
      method === 'back-translation'
        ? await this.rewriter!.backTranslation(text, between)
        : await this.rewriter!.paraphrase(text);
    return keepsLabel(text, rewritten, exact) ? rewritten : undefined;
  }
}

/** VADER's verdict may move so far by an edit: not at all where the label is an intensity, but for rounding. */
const farthest = { exact: 0.005, usual: 0.15 };

/** Whether VADER, which knows phrases too, finds in an edited text what it found before. */
function feelsSame(text: string, edited: string, exact: boolean): boolean {
  const moved = Math.abs(explain(text).vader - explain(edited).vader);
  return moved <= (exact ? farthest.exact : farthest.usual);
}
