/** Words of languages other than English that turn or strengthen others, as VADER's lists do for English. */
import type { Modifiers } from './known-words.js';
import { boost, english, listed } from './vader-words.js';

function modifiers(words: {
  readonly strengthening: string;
  readonly weakening: string;
  readonly negating: string;
  readonly negatingLater?: string;
  readonly contrast: string;
}): Modifiers {
  return {
    boosters: new Map([
      ...listed(words.strengthening).map((word) => [word, boost] as const),
      ...listed(words.weakening).map((word) => [word, -boost] as const),
    ]),
    negators: new Set(listed(words.negating)),
    laterNegators: new Set(words.negatingLater === undefined ? [] : listed(words.negatingLater)),
    contrast: words.contrast,
    phraseValences: new Map(),
    phraseBoosters: new Map(),
    english: false,
  };
}

/** Of negations in two parts ("ne … pas", "nigdy nie") one is listed, or they would undo each other. */
const byLanguage: ReadonlyMap<string, Modifiers> = new Map([
  ['en', english],
  [
    'da',
    modifiers({
      strengthening: 'meget virkelig rigtig så ekstremt utrolig utroligt helt totalt super særdeles',
      weakening: 'lidt knap nogenlunde temmelig delvist næsten',
      negating: 'ikke aldrig ingen intet uden hverken næppe sjældent',
      contrast: 'men',
    }),
  ],
  [
    'fi',
    modifiers({
      strengthening: 'hyvin todella erittäin tosi niin äärimmäisen täysin aivan uskomattoman',
      weakening: 'hieman vähän tuskin melko jokseenkin melkein',
      negating: 'ei en et emme ette eivät älä älkää ilman harvoin',
      contrast: 'mutta',
    }),
  ],
  [
    'fr',
    modifiers({
      strengthening: 'très vraiment tellement si extrêmement totalement trop incroyablement absolument',
      weakening: 'peu légèrement presque assez plutôt guère',
      negating: 'pas jamais aucun aucune rien sans ni rarement',
      contrast: 'mais',
    }),
  ],
  [
    'pl',
    modifiers({
      strengthening: 'bardzo naprawdę tak całkowicie niezwykle zupełnie strasznie niesamowicie',
      weakening: 'trochę ledwo nieco prawie dość częściowo',
      negating: 'nie bez ani żaden żadna żadne rzadko',
      contrast: 'ale',
    }),
  ],
  [
    'sv',
    modifiers({
      strengthening: 'mycket verkligen riktigt så extremt otroligt helt totalt väldigt',
      weakening: 'lite knappt något ganska nästan delvis',
      negating: 'inte aldrig ingen inget inga utan ej icke varken sällan',
      contrast: 'men',
    }),
  ],
  [
    'tr',
    modifiers({
      strengthening: 'çok gerçekten aşırı tamamen son inanılmaz kesinlikle',
      weakening: 'biraz az neredeyse kısmen pek',
      negating: 'hiç asla ne',
      negatingLater: 'değil değildi değilim yok',
      contrast: 'ama',
    }),
  ],
]);

const none = modifiers({ strengthening: '', weakening: '', negating: '', contrast: ' ' });

/** Those of a language; none of one that has no list. */
export function modifiersOf(language: string): Modifiers {
  return byLanguage.get(language) ?? none;
}
