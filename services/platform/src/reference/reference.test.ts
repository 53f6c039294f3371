/** The reference and the schemas say what the services do with a file. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tasks } from '@emotune/affect';
import { fieldPath, InvalidArgument } from '@emotune/base';
import { parseYaml, type SpecField, specMessages, specOf } from '@emotune/cli/spec';
import { planOf as datasetPlan } from '@emotune/data';
import { studyPlanOf } from '@emotune/evaluation';
import { planOf as featurePlan } from '@emotune/featurization';
import { distillFields } from '@emotune/lab/distill-file';
import { codecOf, messageType } from '@emotune/proto';
import { parseSettingsFile } from '@emotune/training';
import { planOf as experimentPlan } from '@emotune/tuning';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { trainFields } from '../commands/train.js';
import { fileNames, schemaOf, specTypes } from './files.js';
import { referenceOf } from './markdown.js';
import { experimentResource } from './resource.js';

const docs = (path: string) => fileURLToPath(new URL(`../../../../docs/${path}`, import.meta.url));
const exampleOf = (name: string) => readFileSync(docs(`examples/${name}.yaml`), 'utf8');

type Yaml = { [key: string]: Yaml } | Yaml[] | string | number | boolean;
type Path = readonly (string | number)[];
type SpecName = keyof typeof specTypes;

/** What a service makes of a file, or what it says is wrong. */
const plans: Record<SpecName, (message: never) => unknown> = {
  dataset: datasetPlan,
  features: featurePlan,
  // Parameters are kept as they were written; what they mean is the space.
  experiment: (spec) => {
    const { spec: whole, ...plan } = experimentPlan(spec);
    return { ...plan, spec: { ...whole, parameters: [] } };
  },
  study: studyPlanOf,
};

/** As a message arrives at a service: what is left out is empty. */
function arrived(message: unknown, name: SpecName): never {
  const codec = codecOf<never>(messageType(specTypes[name]));
  return codec.decode(codec.encode(message as never));
}

function planned(name: SpecName, file: Yaml): unknown {
  const message = specOf(file, specTypes[name], name) as { sources?: { file?: { upload?: object } }[] };
  for (const { file } of message.sources ?? [])
    if (file?.upload) Object.assign(file.upload, { sha256: 'a'.repeat(64) });
  return plans[name](arrived(message, name));
}

function refusal(name: SpecName, file: Yaml): readonly string[] {
  try {
    planned(name, file);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidArgument)) throw error;
    return error.violations.map(({ field }) => field.replace(/^spec\./, ''));
  }
}

function changed(file: Yaml, path: Path, value: Yaml | undefined): Yaml {
  const copy = structuredClone(file);
  let at = copy as { [key: string | number]: Yaml };
  for (const key of path.slice(0, -1)) {
    at[key] ??= {};
    at = at[key] as typeof at;
  }
  const last = path.at(-1)!;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

/** Every field of a file that its example has the mapping of, with where it stands there. */
function placesOf(name: SpecName, file: Yaml): { field: SpecField; path: Path }[] {
  const messages = new Map(specMessages(specTypes[name]).map((message) => [message.name, message]));
  const visit = (typeName: string, at: Yaml | undefined, path: Path): { field: SpecField; path: Path }[] =>
    at === undefined
      ? []
      : messages.get(typeName)!.fields.flatMap((field) => {
          const here = [...path, field.name];
          const value = (at as { [key: string]: Yaml })[field.name];
          if (field.type.kind !== 'mapping') return [{ field, path: here }];
          const { message } = field.type;
          if (field.many === 'one') return [{ field, path: here }, ...visit(message, value, here)];
          const items = (value as Yaml[] | undefined) ?? [];
          return [{ field, path: here }, ...items.flatMap((item, i) => visit(message, item, [...here, i]))];
        });
  return visit(specTypes[name], file, []);
}

async function validator(name: (typeof fileNames)[number]) {
  return new Ajv2020({ strict: false }).compile(await schemaOf(name));
}

const specNames = Object.keys(specTypes) as SpecName[];
const cases = specNames.flatMap((name) => {
  const file = parseYaml(exampleOf(name), name) as Yaml;
  return placesOf(name, file).map(({ field, path }) => ({ name, file, field, path, at: fieldPath(path) }));
});

describe('documents; `vitest run reference -u` writes them anew', () => {
  it.each(fileNames)('docs/%s.schema.json', async (name) => {
    const schema = await schemaOf(name);
    await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot(docs(`${name}.schema.json`));
  });

  it('helm/emotune/files/experiments.emotune.io.yaml', async () => {
    const head = '# Written by tests from the contract.\n';
    const file = docs('../helm/emotune/files/experiments.emotune.io.yaml');
    await expect(head + stringify(experimentResource(), { lineWidth: 110 })).toMatchFileSnapshot(file);
  });

  it('docs/reference.md', async () => {
    const head = `# Files

Written by \`emotune\` and its tests from the contract. \`emotune schema FILE\` prints the JSON schema with which an editor checks and
completes a file; those of this version are beside this document. Settings of training: [training.md](training.md). Samplers and
pruners: [samplers.md](samplers.md).`;
    const parts = specNames.map((name) => referenceOf(`${name}.yaml`, specTypes[name], exampleOf(name)));
    const train = `## train.yaml\n\n\`\`\`yaml\n${exampleOf('train').trimEnd()}\n\`\`\`\n\nPaths are relative to the file. [training.md](training.md) has every setting.`;
    const distill = `## distill.yaml\n\n\`\`\`yaml\n${exampleOf('distill').trimEnd()}\n\`\`\`\n\nPaths are relative to the file. [distillation.md](distillation.md) tells of its fields; every setting of training may stand beside them.`;
    await expect(`${[head, ...parts, train, distill].join('\n\n')}\n`).toMatchFileSnapshot(
      docs('reference.md'),
    );
  });
});

describe('the examples', () => {
  it.each(fileNames)('%s.yaml is right by its schema', async (name) => {
    const file = parseYaml(exampleOf(name), name);
    const validate = await validator(name);
    expect(validate(file) || validate.errors).toBe(true);
  });

  it('a file that is not is told from one that is', async () => {
    const base = { name: 'x', sources: [{ corpus: 'emobank' }] };
    const validate = await validator('dataset');
    for (const [wrong, file] of [
      [false, base],
      [true, { ...base, sources: [{}] }],
      [
        true,
        { ...base, sources: [{ corpus: 'emobank', file: { path: 'a.csv', name: 'a', task: tasks[0] } }] },
      ],
      [true, { ...base, nmae: 'x' }],
      [true, { ...base, tasks: ['happiness'] }],
      [true, { ...base, split: { validation: 2 } }],
      [true, { sources: base.sources }],
    ] as const)
      expect(validate(file), JSON.stringify(file)).toBe(!wrong);
  });

  it.each(specNames)('%s.yaml is accepted by its service', (name) => {
    expect(refusal(name, parseYaml(exampleOf(name), name) as Yaml)).toEqual([]);
  });

  it('train.yaml is accepted', () => {
    const { beside } = parseSettingsFile(parseYaml(exampleOf('train'), 'train'), trainFields);
    expect(beside.out).toBe('tuned');
  });

  it('distill.yaml is accepted', () => {
    const { beside } = parseSettingsFile(parseYaml(exampleOf('distill'), 'distill'), distillFields);
    expect(beside.teachers.map(({ weight }) => weight)).toEqual([1, 0.5]);
  });
});

describe('a service agrees with the reference on', () => {
  it.each(cases.filter(({ field }) => field.range))(
    'the range of $name $at',
    ({ name, file, field, path, at }) => {
      const { low, high } = field.range!;
      for (const beyond of [
        low === undefined ? undefined : low - 1,
        high === undefined ? undefined : high + 1,
      ])
        if (beyond !== undefined) {
          const said = refusal(name, changed(file, path, beyond));
          expect(
            said.some((where) => at.startsWith(where) || where.startsWith(at)),
            `${beyond}: ${said}`,
          ).toBe(true);
        }
    },
  );

  it.each(cases.filter(({ field }) => field.usual !== undefined))(
    'the default of $name $at',
    ({ name, file, field, path, at }) => {
      const without = changed(file, path, undefined);
      const usual = changed(file, path, parseYaml(field.usual!, 'default') as Yaml);
      // Some say nothing where another field has another value, and are refused there.
      if (refusal(name, usual).includes(at)) expect(refusal(name, without)).toEqual([]);
      else expect(planned(name, usual)).toEqual(planned(name, without));
    },
  );

  it.each(cases.filter(({ field }) => field.required))('$name $at being required', ({ name, file, path }) => {
    expect(refusal(name, changed(file, path, undefined))).not.toEqual([]);
  });
});
