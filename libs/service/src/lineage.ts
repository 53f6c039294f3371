/** What a model's lineage says of how it is to be asked. */
import { NotFound } from '@emotune/base';
import type { featurization, tuning } from '@emotune/proto';
import type { CallOptions, Channel } from './channel.js';

/**
 * Whether the model learnt with lexicon cues in its prompts. A base model, and one whose feature set is gone, is asked
 * with them.
 */
export async function learntWithCues(
  channel: Channel,
  { lineage }: tuning.Model,
  options: CallOptions = {},
): Promise<boolean> {
  if (!lineage || lineage.features === '') return true;
  const set = await channel
    .client<featurization.FeatureServiceClient>('FeatureService')
    .call('getFeatureSet', { name: lineage.features }, options)
    .catch((error) => {
      if (error instanceof NotFound) return undefined;
      throw error;
    });
  return !(set?.spec?.withoutCues ?? false);
}
