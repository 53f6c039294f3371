/**
 * What licences of data ask of whoever passes on what was made with it, by SPDX identifier, or by a name of our own (`LicenseRef-…`) for
 * terms that have none. What is written here helps to keep terms in sight; it is no legal advice.
 */
import { nearest, own } from '@emotune/base';

export const obligations = [
  'attribution',
  'share-alike',
  'non-commercial',
  'no-derivatives',
  'no-redistribution',
] as const;
export type Obligation = (typeof obligations)[number];

/** What each asks, for people. */
export const obligationTexts: Readonly<Record<Obligation, string>> = {
  attribution: 'name the source and its licence, and say what was changed',
  'share-alike': 'pass on what is made of it under the same licence only',
  'non-commercial': 'no commercial use',
  'no-derivatives': 'pass on nothing that was changed',
  'no-redistribution': 'do not pass its texts on',
};

const none: readonly Obligation[] = [];
const by: readonly Obligation[] = ['attribution'];
const bySa: readonly Obligation[] = ['attribution', 'share-alike'];
const byNc: readonly Obligation[] = ['attribution', 'non-commercial'];
const byNcSa: readonly Obligation[] = ['attribution', 'share-alike', 'non-commercial'];
const byNd: readonly Obligation[] = ['attribution', 'no-derivatives'];
const byNcNd: readonly Obligation[] = ['attribution', 'non-commercial', 'no-derivatives'];
/** Terms that say nothing of passing texts on do not allow it. */
const unstated: readonly Obligation[] = ['attribution', 'no-redistribution'];
const research: readonly Obligation[] = ['attribution', 'non-commercial', 'no-redistribution'];

/** Creative Commons: the same terms in each version. */
function creativeCommons(name: string, asks: readonly Obligation[]): Record<string, readonly Obligation[]> {
  return Object.fromEntries(
    ['1.0', '2.0', '2.5', '3.0', '4.0'].map((version) => [`${name}-${version}`, asks]),
  );
}

const table: Readonly<Record<string, readonly Obligation[]>> = {
  'CC0-1.0': none,
  'PDDL-1.0': none,
  Unlicense: none,
  'public domain': none,
  '0BSD': none,
  MIT: by,
  'Apache-2.0': by,
  'BSD-2-Clause': by,
  'BSD-3-Clause': by,
  ISC: by,
  'ODC-By-1.0': by,
  'ODbL-1.0': bySa,
  'GPL-2.0': bySa,
  'GPL-2.0-only': bySa,
  'GPL-2.0-or-later': bySa,
  'GPL-3.0': bySa,
  'GPL-3.0-only': bySa,
  'GPL-3.0-or-later': bySa,
  'AGPL-3.0': bySa,
  ...creativeCommons('CC-BY', by),
  ...creativeCommons('CC-BY-SA', bySa),
  ...creativeCommons('CC-BY-NC', byNc),
  ...creativeCommons('CC-BY-NC-SA', byNcSa),
  ...creativeCommons('CC-BY-ND', byNd),
  ...creativeCommons('CC-BY-NC-ND', byNcNd),
  // The archives' README: free for research, ask for anything else, "do not redistribute the data".
  'LicenseRef-SemEval-2018-Task-1': research,
  'LicenseRef-WASSA-2017-EmoInt': research,
  // Of SemEval-2018, SST and others, whose texts it holds.
  'LicenseRef-AAID': research,
  'LicenseRef-SST': unstated,
  // Each task keeps its own terms, and X's on top.
  'LicenseRef-TweetEval': unstated,
  'LicenseRef-ISEAR': unstated,
  'LicenseRef-DimABSA': unstated,
};

const byLowerCase = new Map(Object.entries(table).map(([id, asks]) => [id.toLowerCase(), { id, asks }]));

export interface LicenceTerms {
  /** As the table writes it; as it was given where the table has it not. */
  readonly id: string;
  /** In the order of `obligations`. */
  readonly obligations: readonly Obligation[];
  /** Whether the table has it. */
  readonly known: boolean;
}

/** Several, joined by "," or "AND", ask all that each of them asks. One that nobody knows counts as if texts were not to be passed on. */
export function licenceTerms(licence: string): LicenceTerms {
  const parts = licence.split(/,|\bAND\b/i).map((part) => part.trim());
  const found = parts.map((part) => byLowerCase.get(part.toLowerCase()));
  const asked = new Set(found.flatMap((one) => one?.asks ?? unstated));
  return {
    id: found.length === 1 ? (found[0]?.id ?? licence) : licence,
    obligations: obligations.filter((obligation) => asked.has(obligation)),
    known: found.every((one) => one !== undefined),
  };
}

/** The licence of the table that was perhaps meant. */
export function nearestLicence(licence: string): string | undefined {
  const near = nearest(licence.toLowerCase(), [...byLowerCase.keys()]);
  return near === undefined ? undefined : byLowerCase.get(near)?.id;
}

/** Share-alike terms that may be left for others: what is made of both goes under the latter. */
const mayBecome: Readonly<Record<string, readonly string[]>> = {
  'CC-BY-SA-3.0': ['CC-BY-SA-4.0'],
  'CC-BY-SA-4.0': ['GPL-3.0', 'GPL-3.0-only', 'GPL-3.0-or-later'],
  'CC-BY-NC-SA-3.0': ['CC-BY-NC-SA-4.0'],
  'GPL-2.0-or-later': ['GPL-3.0', 'GPL-3.0-only', 'GPL-3.0-or-later', 'AGPL-3.0'],
};

function becomes(from: string, to: string): boolean {
  return (own(mayBecome, from) ?? []).some((next) => next === to || becomes(next, to));
}

export interface LicenceConflict {
  readonly licences: readonly [string, string];
  readonly reason: string;
}

function reasonAgainst(a: LicenceTerms, b: LicenceTerms): string | undefined {
  const asks = (terms: LicenceTerms, obligation: Obligation) => terms.obligations.includes(obligation);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (asks(one, 'no-derivatives'))
      return `${one.id} lets nobody pass on what was made of it and of others together`;
    if (!asks(one, 'share-alike')) continue;
    if (asks(other, 'no-redistribution'))
      return `${one.id} asks that what is passed on goes under its own terms, ${other.id} that nothing is passed on`;
    if (asks(other, 'non-commercial') && !asks(one, 'non-commercial'))
      return `${one.id} allows no further limits, and ${other.id} forbids commercial use`;
    if (asks(other, 'share-alike') && !becomes(a.id, b.id) && !becomes(b.id, a.id))
      return `each asks that what is made of it goes under its own terms`;
  }
  return undefined;
}

/** Pairs of licences that no one set of terms satisfies for what is passed on. Using it oneself is another matter. */
export function licenceConflicts(licences: readonly string[]): LicenceConflict[] {
  const all = [
    ...new Map(licences.map((licence) => [licenceTerms(licence).id, licenceTerms(licence)])).values(),
  ];
  return all.flatMap((a, i) =>
    all.slice(i + 1).flatMap((b): LicenceConflict[] => {
      const reason = reasonAgainst(a, b);
      return reason === undefined ? [] : [{ licences: [a.id, b.id], reason }];
    }),
  );
}
