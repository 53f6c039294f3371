/** What the data service does with a lexicon in the process of a build. */
import { readFile } from 'node:fs/promises';
import { lexiconsJson } from '@emotune/affect';
import { NotFound, sha256 } from '@emotune/base';
import { openObjectStore } from '@emotune/objects';
import type { BuildWork } from '@emotune/service';
import { lexiconSources } from './catalogue.js';

export interface ReadLexicon {
  /** In the object store. */
  readonly key: string;
  readonly entries: number;
}

/** Reads a lexicon of the catalogue into the object store. @throws InvalidArgument naming the line that cannot be read */
export const read: BuildWork<
  { readonly name: string; readonly paths: readonly string[]; readonly objects: string },
  ReadLexicon
> = async ({ name, paths, objects }) => {
  const source = lexiconSources.find((each) => each.name === name);
  if (!source) throw new NotFound(`expected a lexicon of the catalogue, got ${name}`);
  const { licence, url, redistributable } = source;
  const lexicon = source.read(await Promise.all(paths.map((path) => readFile(path))));
  const text = lexiconsJson([{ ...lexicon, licence, source: url, redistributable }]);
  const key = `lexicons/${name}/${sha256(text).slice(0, 12)}.json`;
  const store = await openObjectStore(objects);
  if (!(await store.exists(key))) await store.put(key, text);
  return { key, entries: lexicon.terms.size };
};
