/** What the chart says of itself is what it is; `vitest run chart -u` writes its README anew. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { contract } from '@emotune/proto';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { readmeOf } from './readme.js';

const chart = (path: string) => fileURLToPath(new URL(`../../helm/emotune/${path}`, import.meta.url));
const text = (path: string) => readFileSync(chart(path), 'utf8');

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: unknown;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const schema = JSON.parse(text('values.schema.json')) as Schema;
const resolved = (at: Schema): Schema => (at.$ref ? schema.$defs![at.$ref.split('/').at(-1)!] : at);

it('README.md', async () => {
  const head = text('README.head.md');
  await expect(readmeOf(head, text('values.yaml'))).toMatchFileSnapshot(chart('README.md'));
});

it('the schema knows the values that there are, and no others', () => {
  const compare = (values: object, at: Schema, path: string): string[] => {
    const { properties } = resolved(at);
    if (!properties) return [];
    const known = Object.keys(properties).filter((key) => path !== '' || key !== 'global');
    const optional = resolved(at) === schema.$defs!['resources'] ? known : [];
    const missing = known.filter((key) => !(key in values) && !optional.includes(key));
    const found = missing.map((key) => `${path}${key} has no default`);
    for (const [key, value] of Object.entries(values)) {
      if (!properties[key]) found.push(`${path}${key} is not in the schema`);
      else if (value !== null && typeof value === 'object' && !Array.isArray(value))
        if (Object.keys(value).length > 0)
          // Of what Kubernetes describes nothing is set.
          found.push(...compare(value, properties[key], `${path}${key}.`));
    }
    return found;
  };
  expect(compare(parse(text('values.yaml')), schema, '')).toEqual([]);
});

it('the schema lets through no key that it does not know, but in what Kubernetes describes', () => {
  const open: string[] = [];
  const visit = (at: unknown, path: string): void => {
    if (at === null || typeof at !== 'object') return;
    const { type, additionalProperties, description = '' } = at as Schema;
    const isObject = [type].flat().includes('object');
    const described = description.startsWith("Kubernetes' own words") || path === '/properties/global';
    if (isObject && !described && additionalProperties === undefined) open.push(path);
    for (const [key, value] of Object.entries(at)) visit(value, `${path}/${key}`);
  };
  visit(schema, '');
  expect(open).toEqual([]);
});

interface Namespace {
  readonly fullName: string;
  readonly nestedArray?: readonly Namespace[];
  /** Of a service. */
  readonly methodsArray?: readonly unknown[];
}

/** Full names of the services below a namespace of the contract. */
function servicesIn({ nestedArray = [] }: Namespace): string[] {
  return nestedArray.flatMap((each) => (each.methodsArray ? [each.fullName.slice(1)] : servicesIn(each)));
}

it('routes lead to every service of the contract', () => {
  const names = text('templates/_names.tpl');
  const declared = [...names.matchAll(/"(\w+)" "(emotune\.[^"]*)"/g)].flatMap(([, area, services]) =>
    services.split(' ').map((service) => `${service} of ${area}`),
  );
  const of = (service: string) => service.split('.')[1].replace(/^(files|events)$/, 'data');
  const known = servicesIn(contract()).map((service) => `${service} of ${of(service)}`);
  expect(declared.sort()).toEqual(known.sort());
});

it('the version of the chart and of what it installs is that of the project', () => {
  const { version } = JSON.parse(readFileSync(chart('../../package.json'), 'utf8'));
  expect(parse(text('Chart.yaml'))).toMatchObject({ version, appVersion: version });
});
