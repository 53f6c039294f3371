/** Lexicons as the service knows them: listed, and read into the object store when a feature set wants one. */
import { besideModule, NotFound, nearest, show } from '@emotune/base';
import type { data } from '@emotune/proto';
import type { DataContext } from '../datasets.js';
import { locate, locationOf } from '../locate.js';
import { lexiconSources } from './catalogue.js';
import type { LexiconSource } from './lexicon-source.js';
import type { ReadLexicon } from './lexicon-work.js';

/** In the process of a build: a file may be large, or one that nobody has seen before. */
const work = besideModule(import.meta.url, 'lexicon-work');

export class LexiconShelf {
  constructor(private readonly context: Pick<DataContext, 'builds' | 'objects' | 'locate'>) {}

  list(): Promise<data.Lexicon[]> {
    return Promise.all(lexiconSources.map((source) => this.message(source)));
  }

  private async message(source: LexiconSource): Promise<data.Lexicon> {
    const { name, title, language, licence, obligations, redistributable, url, entries, files } = source;
    return {
      name,
      title,
      language,
      licence,
      obligations: [...obligations],
      redistributable,
      url,
      sha256: files.flatMap(({ sha256 }) => (sha256 === undefined ? [] : [sha256])),
      location: (await locationOf(source, this.context.locate)) ?? '',
      entries,
    };
  }

  /** @throws NotFound; what `locate` throws; InvalidArgument when a file cannot be read. */
  async provide(name: string): Promise<data.ProvideLexiconResponse> {
    const source = lexiconSources.find((each) => each.name === name);
    if (!source) {
      const near = nearest(
        name,
        lexiconSources.map((each) => each.name),
      );
      throw new NotFound(
        `expected a lexicon, got ${show(name)}; ${near ? `did you mean "${near}"?` : '"emotune lexicons" shows all'}`,
      );
    }
    const paths = await locate(source, this.context.locate);
    const { builds, objects } = this.context;
    const asked = { name, paths, objects: objects.url };
    const { key, entries } = await builds.run<typeof asked, ReadLexicon>(work, 'read', asked);
    return { lexicon: { ...(await this.message(source)), entries }, key };
  }
}
