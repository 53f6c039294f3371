/** The importers, by the format that a dataset spec names. A further one is a file beside these and a line here. */
import { aaid } from './importers/aaid.js';
import { semeval2018, wassa2017 } from './importers/affect-in-tweets.js';
import { brighter } from './importers/brighter.js';
import { dimAbsa } from './importers/dim-absa.js';
import { goEmotionsRaw } from './importers/goemotions-raw.js';
import type { Importer } from './importers/importer.js';
import { isear } from './importers/isear.js';
import { sst } from './importers/sst.js';
import { study } from './importers/study.js';
import { tweetEval } from './importers/tweet-eval.js';

export type { Importer };

export const importers: readonly Importer[] = [
  semeval2018,
  wassa2017,
  aaid,
  sst,
  tweetEval,
  brighter,
  isear,
  dimAbsa,
  goEmotionsRaw,
  study,
];
