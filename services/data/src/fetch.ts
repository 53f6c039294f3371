/** Fetches what a plan's sources are made of, so that a build only reads. */
import { fetchSnapshot, type HubSettings } from '@emotune/hub';
import type { common } from '@emotune/proto';
import { dataFiles } from './hub-files.js';
import { type LocateOptions, locate } from './locate.js';
import type { DatasetPlan } from './spec.js';

/** The files of a data set of the Hub, as they lie in a folder. */
export interface FetchedHub {
  readonly folder: string;
  readonly licence: string;
  readonly url: string;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

/** Of a source: where the files of a corpus lie, or what came from the Hub; a file of the user's needs nothing. */
export interface Fetched {
  readonly paths?: readonly string[];
  readonly hub?: FetchedHub;
}

export interface FetchOptions {
  readonly locate: Omit<LocateOptions, 'onProgress' | 'signal'>;
  readonly hub: HubSettings;
  readonly onProgress: (progress: common.Progress) => void;
  readonly signal: AbortSignal;
}

/** In the order of the plan's sources. @throws as `fetchSnapshot` and `locate`. */
export async function fetchSources({ sources }: DatasetPlan, options: FetchOptions): Promise<Fetched[]> {
  const { hub, signal } = options;
  const onProgress = (path: string, done: number, total: number) =>
    options.onProgress({ phase: `downloading ${path}`, done, total, unit: 'bytes' });
  const fetched: Fetched[] = [];
  for (const { source } of sources) {
    signal.throwIfAborted();
    if ('corpus' in source)
      fetched.push({ paths: await locate(source.corpus, { ...options.locate, signal, onProgress }) });
    else if ('hub' in source) {
      const { hub: id } = source;
      const { folder, commit, licence, files } = await fetchSnapshot(hub, id, dataFiles(id), {
        signal,
        onProgress,
      });
      const url = `${hub.endpoint}/datasets/${id.repo}/tree/${commit}`;
      fetched.push({ hub: { folder, licence, url, files } });
    } else fetched.push({});
  }
  return fetched;
}
