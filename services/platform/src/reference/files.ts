/** The files that people write: what each becomes, and what its schema says. */
import { jsonSchemaOf } from './json-schema.js';

/** Files that become a message of the contract, by their command. */
export const specTypes = {
  dataset: 'emotune.data.v1.DatasetSpec',
  features: 'emotune.featurization.v1.FeatureSetSpec',
  experiment: 'emotune.tuning.v1.ExperimentSpec',
  study: 'emotune.evaluation.v1.StudySpec',
} as const;

export const fileNames = [...Object.keys(specTypes), 'train', 'distill'] as readonly FileName[];

export type FileName = keyof typeof specTypes | 'train' | 'distill';

interface Group {
  readonly properties?: Readonly<Record<string, Group>>;
}

/** The properties of a group, and those of the groups in it by their names with dots: both may be written. */
function withDots({ properties = {} }: Group): Record<string, Group> {
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, item]) => [
      [name, item],
      ...Object.entries(withDots(item)).map(([below, of]) => [`${name}.${below}`, of]),
    ]),
  );
}

/** The JSON schema of `<name>.yaml`. What trains is loaded for it. */
export async function schemaOf(name: FileName): Promise<object> {
  if (name === 'dataset' || name === 'features' || name === 'study') return jsonSchemaOf(specTypes[name]);
  const { settingsJsonSchema } = await import('@emotune/training');
  if (name === 'train') {
    const { trainFields } = await import('../commands/train.js');
    return settingsJsonSchema(trainFields);
  }
  if (name === 'distill') {
    const { distillFields } = await import('@emotune/lab/distill-file');
    return settingsJsonSchema(distillFields);
  }
  return jsonSchemaOf(specTypes[name], withDots(settingsJsonSchema() as Group));
}
