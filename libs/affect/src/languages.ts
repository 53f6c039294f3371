/** Which languages there are, as BCP 47 names them: the data that comes with Node.js (CLDR) knows their names. */
import { nearest, show, type Violation } from '@emotune/base';

const names = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'none' });

/** Those that people are most likely to write by name. */
const common =
  'af am ar bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu ha he hi hr hu hy id ig is it ja ka kk ko lt lv mk ml mr ms nb nl no pl pt ro ru rw sk sl so sq sr sv sw ta te th tr tt uk ur uz vi yo zh zu'.split(
    ' ',
  );

function isKnown(tag: string): boolean {
  try {
    return names.of(tag) !== undefined;
  } catch {
    return false;
  }
}

/** The tag of a language that is given by its English name, or nearly so. */
function tagOf(name: string): string | undefined {
  const byName = new Map(common.map((tag) => [names.of(tag)!.toLowerCase(), tag]));
  const near = nearest(name.toLowerCase(), [...byName.keys()]);
  return near === undefined ? undefined : byName.get(near);
}

/** What is wrong with a language; empty stands for the usual one. */
export function languageViolations(language: string, field: string): readonly Violation[] {
  if (language === '' || isKnown(language)) return [];
  const near = tagOf(language);
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  return [
    {
      field,
      description: `expected a language as BCP 47 names it, such as "en", got ${show(language)}${hint}`,
    },
  ];
}
