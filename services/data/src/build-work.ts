/** What the data service does in the process of a build. */
import { openObjectStore } from '@emotune/objects';
import type { data } from '@emotune/proto';
import type { BuildWork } from '@emotune/service';
import { type BuiltDataset, buildDataset, checkFiles } from './build.js';
import type { Fetched } from './fetch.js';
import { planOf } from './spec.js';

interface Asked {
  readonly spec: data.DatasetSpec;
  /** Of the object store. */
  readonly objects: string;
}

/** @throws as `checkFiles` */
export const check: BuildWork<Asked, void> = async ({ spec, objects }) =>
  checkFiles(planOf(spec), await openObjectStore(objects));

/** @throws as `buildDataset` */
export const build: BuildWork<Asked & { readonly fetched: readonly Fetched[] }, BuiltDataset> = async (
  { spec, objects, fetched },
  onProgress,
) => buildDataset(planOf(spec), { objects: await openObjectStore(objects), fetched, onProgress });
