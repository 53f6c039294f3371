import type { Ending } from '@emotune/base';
import type { Tuning } from '../tune.js';

/** What rank 0 tells the process of another. */
export type ToRank =
  | { readonly type: 'begin'; readonly request: Tuning; readonly rank: number; readonly token: string }
  /** Where the rank after it listens. */
  | { readonly type: 'next'; readonly address: string };

export type FromRank =
  | { readonly type: 'listening'; readonly address: string }
  | {
      readonly type: 'failed';
      readonly ending: Ending;
      readonly message: string /** It does not hear another any more, which has a cause elsewhere. */;
      readonly follows: boolean;
    };
