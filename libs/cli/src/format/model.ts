/** Models as text. */
import type { common, tuning } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { parametersText } from './experiment.js';
import { count, facts, nothing, table } from './text.js';

export function modelsText(models: readonly tuning.Model[]): string {
  return table(
    ['model', 'kind', 'state', 'family', 'parameters', 'promoted', 'experiment'],
    models.map(({ name, version, kind, state, family, parameters, promoted, lineage }) => [
      `${name}@${version}`,
      shortEnumName(kind),
      shortEnumName(state),
      family,
      count(parameters),
      promoted ? 'yes' : nothing,
      lineage?.experiment || nothing,
    ]),
  );
}

/** Each subtask with the labels or the scale that it was mostly asked on. */
function taughtText(teaching: tuning.Teaching | undefined): string {
  const first = new Map<common.Task, string>();
  for (const { task, labels, scale } of teaching?.inquiries ?? [])
    if (!first.has(task)) first.set(task, scale ? `${scale.low}..${scale.high}` : labels.join(', '));
  return [...first].map(([task, answers]) => `${shortEnumName(task)} (${answers})`).join('; ');
}

/** How many questions are calibrated, on how many held-out rows. */
function calibratedText(teaching: tuning.Teaching | undefined): string {
  const rows = (teaching?.calibrations ?? []).map(
    ({ task, emotion, labelSet, n, numbers, labels }) =>
      `${shortEnumName(task)}${emotion === '' ? '' : ` of ${emotion}`}${labelSet.length > 0 ? ` (${labelSet.join(', ')})` : ''}: ${
        numbers || labels ? `on ${count(n)} held-out rows` : `not, of too few held-out rows (${count(n)})`
      }`,
  );
  return rows.join('; ');
}

function licencesText({ sources, baseLicence }: tuning.Lineage): string {
  const named = sources.map(({ name, licence }) => `${name} ${licence}`);
  return [...(baseLicence === '' ? [] : [`base ${baseLicence}`]), ...named].join(', ');
}

export function modelText(model: tuning.Model): string {
  const { lineage } = model;
  const versioned = (name: string, version: string) => (version === '' ? name : `${name}@${version}`);
  return facts([
    ['model', `${model.name}@${model.version}`],
    ['kind', shortEnumName(model.kind)],
    ['state', `${shortEnumName(model.state)}${model.promoted ? ', promoted' : ''}`],
    ['family', `${model.family}, ${count(model.parameters)} parameters`],
    ['files', model.prefix],
    ['from', model.source],
    ['licence', model.licence],
    ['taught', taughtText(model.teaching)],
    ['calibrated', calibratedText(model.teaching)],
    ['languages', [...new Set(model.teaching?.inquiries.flatMap(({ languages }) => languages))].join(', ')],
    ['evaluation', model.evaluation],
    ['experiment', lineage?.experiment && `${lineage.experiment}, trial ${lineage.trial}`],
    ['base model', lineage && versioned(lineage.baseModel, lineage.baseVersion)],
    ['dataset', lineage && versioned(lineage.dataset, lineage.datasetVersion)],
    ['licences', lineage && licencesText(lineage)],
    ['features', lineage && versioned(lineage.features, lineage.featuresVersion)],
    ['parameters', lineage && parametersText(lineage.parameters)],
    ['trained', lineage && lineage.tokens > 0 ? `${count(lineage.tokens)} tokens, seed ${lineage.seed}` : ''],
    ['code', lineage?.codeVersion],
  ]);
}
