/** What a manifest tells people of a dataset beside its figures. */
import { nearestLicence, splits } from '@emotune/affect';
import { show } from '@emotune/base';
import { type Counts, totalOf } from './counts.js';
import type { LoadedSource } from './loaded-source.js';
import type { Remarks } from './remarks.js';
import type { DatasetPlan } from './spec.js';
import { count } from './words.js';

export function noticesOf(
  counts: Counts,
  remarks: Remarks,
  sources: readonly LoadedSource[],
  { shares }: DatasetPlan,
): string[] {
  const total = totalOf(counts.rows);
  const asked = splits.filter((split) => split === 'train' || shares[split] > 0);
  return [
    ...asked
      .filter((split) => counts.rows[split] === 0)
      .map(
        (split) =>
          `the ${split} split is empty, with ${total} rows in all: rows with a split of their own stay in it, and the others are too few to divide`,
      ),
    ...(counts.ofSource('emotune-demo') > 0
      ? ['emotune-demo is demonstration data: scores on it say nothing about quality on real text']
      : []),
    ...sources.flatMap(({ notice }) => notice ?? []),
    ...sources
      .filter(({ name }) => total > 0 && counts.ofSource(name) === 0)
      .map(({ name }) => `${name}: none of its rows is in the dataset`),
    ...licenceNotices(counts),
    ...remarks.list,
  ];
}

/** Of licences that nobody knows, and of those that do not go together. */
function licenceNotices({ licences, licenceConflicts }: Counts): string[] {
  const unknown = licences.filter(({ known }) => !known);
  return [
    ...unknown.map(({ licence, rows, sources }) => {
      const near = licence === 'unknown' ? undefined : nearestLicence(licence);
      const said =
        licence === 'unknown'
          ? 'say its licence'
          : `it is none that is known${near ? `; did you mean ${near}?` : ''}`;
      return `licence ${show(licence)} of ${sources.join(', ')} (${count(rows, 'row')}): ${said}; until then nothing made with them should be passed on`;
    }),
    ...licenceConflicts.map(
      ({ licences: [one, other], reason }) =>
        `licences ${one} and ${other} do not go together in what is passed on: ${reason}; using it yourself is another matter`,
    ),
  ];
}
