import type { SourceExample } from '@emotune/affect';
import type { data } from '@emotune/proto';

/** A source whose rows can be read, with what a manifest tells of it. */
export interface LoadedSource
  extends Pick<data.SourceCount, 'name' | 'licence' | 'url' | 'sha256' | 'skipped'> {
  /** What people should know of it. */
  readonly notice?: string;
  /** From the first one on, as often as it is called; the same ones in the same order. */
  examples(): AsyncIterable<SourceExample>;
}
