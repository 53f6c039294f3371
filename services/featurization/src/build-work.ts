/** What the featurization service does in the process of a build. */
import { type KeptLexicon, parseLexicons } from '@emotune/affect';
import { FailedPrecondition } from '@emotune/base';
import { type ObjectStore, openObjectStore, textsBelow } from '@emotune/objects';
import type { featurization } from '@emotune/proto';
import type { BuildWork } from '@emotune/service';
import { type Tokenizer, tokenizerOf } from '@emotune/text';
import { type BuildOptions, type BuiltFeatures, buildFeatures, type PlannedTokenizer } from './build.js';
import { rowsOfFile } from './preview.js';
import { planOf } from './spec.js';

/** A tokenizer where it lies: with a base model. */
export interface StoredTokenizer {
  readonly baseModels: readonly string[];
  readonly prefix: string;
  /** The tokenizer's, as it was when the model was registered. */
  readonly hash: string;
}

export interface FeatureBuild {
  readonly spec: featurization.FeatureSetSpec;
  /** Of the object store. */
  readonly objects: string;
  readonly dataset: BuildOptions['dataset'];
  readonly tokenizers: readonly StoredTokenizer[];
  /** Keys of files in the object store. */
  readonly lexicons: readonly string[];
  readonly augmentation: BuildOptions['augmentation'];
}

/** @throws FailedPrecondition when it is another than it was. */
async function loadTokenizer(
  objects: ObjectStore,
  { baseModels, prefix, hash }: StoredTokenizer,
): Promise<Tokenizer> {
  const tokenizer = await tokenizerOf(textsBelow(objects, prefix));
  if (tokenizer.hash !== hash)
    throw new FailedPrecondition(
      `the tokenizer of model ${baseModels[0]}, or how its texts begin and end, has changed since it was registered; import it again`,
    );
  return tokenizer;
}

export interface PreviewBuild {
  /** Of the object store. */
  readonly objects: string;
  readonly tokenizer: StoredTokenizer;
  /** Of the file in the object store. */
  readonly key: string;
  readonly from: number;
  readonly rows: number;
}

/** @throws as `rowsOfFile` and `loadTokenizer` */
export const preview: BuildWork<PreviewBuild, featurization.FeatureExample[]> = async (asked) => {
  const objects = await openObjectStore(asked.objects);
  return rowsOfFile(objects, asked.key, asked, await loadTokenizer(objects, asked.tokenizer));
};

/** @throws as `buildFeatures` and `loadTokenizer` */
export const build: BuildWork<FeatureBuild, BuiltFeatures> = async (asked, onProgress) => {
  const { spec, dataset, augmentation } = asked;
  const objects = await openObjectStore(asked.objects);
  const tokenizers: PlannedTokenizer[] = [];
  for (const stored of asked.tokenizers)
    tokenizers.push({ tokenizer: await loadTokenizer(objects, stored), baseModels: stored.baseModels });
  const lexicons: KeptLexicon[] = [];
  for (const key of asked.lexicons)
    lexicons.push(...parseLexicons(Buffer.from(await objects.get(key)).toString('utf8')));
  return buildFeatures(planOf(spec), { objects, dataset, tokenizers, lexicons, augmentation, onProgress });
};
