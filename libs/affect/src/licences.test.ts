import { expect, it } from 'vitest';
import { licenceConflicts, licenceTerms, nearestLicence } from './licences.js';

it.each([
  ['MIT', ['attribution'], true],
  ['cc-by-4.0', ['attribution'], true],
  ['CC0-1.0', [], true],
  ['CC-BY-SA-4.0', ['attribution', 'share-alike'], true],
  ['CC-BY-NC-ND-3.0', ['attribution', 'non-commercial', 'no-derivatives'], true],
  ['LicenseRef-SemEval-2018-Task-1', ['attribution', 'non-commercial', 'no-redistribution'], true],
  ['mit, cc-by-nc-4.0', ['attribution', 'non-commercial'], true],
  ['our own terms', ['attribution', 'no-redistribution'], false],
  ['unknown', ['attribution', 'no-redistribution'], false],
])('%s asks %j', (licence, obligations, known) => {
  expect(licenceTerms(licence)).toMatchObject({ obligations, known });
});

it('a licence that is misspelt is named', () => {
  expect(nearestLicence('CC-BY-SA4.0')).toBe('CC-BY-SA-4.0');
  expect(nearestLicence('our own terms')).toBeUndefined();
});

it.each([
  [['MIT', 'Apache-2.0', 'CC-BY-4.0', 'CC-BY-SA-4.0']],
  [['CC-BY-SA-3.0', 'CC-BY-SA-4.0', 'GPL-3.0-only']],
  [['CC-BY-NC-4.0', 'MIT', 'LicenseRef-SST']],
  [['CC-BY-SA-4.0', 'cc-by-sa-4.0']],
  [['CC-BY-ND-4.0']],
])('%j go together', (licences) => {
  expect(licenceConflicts(licences)).toEqual([]);
});

it.each([
  [['CC-BY-SA-4.0', 'CC-BY-NC-4.0'], 'forbids commercial use'],
  [['CC-BY-NC-SA-4.0', 'CC-BY-SA-4.0'], 'its own terms'],
  [['ODbL-1.0', 'CC-BY-SA-4.0'], 'its own terms'],
  [['LicenseRef-SemEval-2018-Task-1', 'CC-BY-SA-4.0'], 'nothing is passed on'],
  [['CC-BY-ND-4.0', 'MIT'], 'lets nobody pass on'],
  [['unknown', 'CC-BY-SA-4.0'], 'nothing is passed on'],
])('%j do not', (licences, reason) => {
  const conflicts = licenceConflicts(['MIT', ...licences.filter((l) => l !== 'MIT')]);
  expect(conflicts.map((conflict) => conflict.reason).join()).toContain(reason);
});
