import type { SourceExample } from '@emotune/affect';
import type { data } from '@emotune/proto';

/** A source as it was read, with what a manifest tells of it. */
export interface LoadedSource extends Pick<data.SourceCount, 'name' | 'licence' | 'url' | 'sha256'> {
  readonly examples: SourceExample[];
}
