/** The methods of augmentation: name, what it does, how much where nothing is said. */
import type { Edit } from './edit.js';
import { emoji, hashtag } from './marks.js';
import { keyboard, spelling } from './typing.js';
import { aeda, randomDeletion, randomInsertion, randomSwap, synonymReplacement } from './word-edits.js';

interface Method {
  /** Absent: a model behind an endpoint rewrites. */
  readonly edit?: Edit;
  /** Share of the words, where the plan does not say. */
  readonly strength: number;
  readonly needs?: 'dictionary' | 'endpoint';
  /** Texts of every language, not English alone. */
  readonly anyLanguage?: true;
}

const methods = {
  // Up to a third of the words (Karimi et al. 2021, section 2); a tenth otherwise (Wei and Zou 2019, section 4.3).
  aeda: { edit: aeda, strength: 0.3 },
  'synonym-replacement': { edit: synonymReplacement, strength: 0.1, needs: 'dictionary' },
  'random-insertion': { edit: randomInsertion, strength: 0.1, needs: 'dictionary' },
  'random-swap': { edit: randomSwap, strength: 0.1 },
  'random-deletion': { edit: randomDeletion, strength: 0.1 },
  spelling: { edit: spelling, strength: 0.1 },
  keyboard: { edit: keyboard, strength: 0.1 },
  emoji: { edit: emoji, strength: 1, anyLanguage: true },
  hashtag: { edit: hashtag, strength: 1, anyLanguage: true },
  'back-translation': { strength: 1, needs: 'endpoint' },
  paraphrase: { strength: 1, needs: 'endpoint' },
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof methods;

export const methodNames = Object.keys(methods) as readonly MethodName[];

export function methodOf(name: MethodName): Method {
  return methods[name];
}
