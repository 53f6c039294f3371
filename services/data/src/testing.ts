/** What other services would know, for tests of this one. */
import { codecOf, common, type featurization, messageType } from '@emotune/proto';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';

/** The feature sets that are being built, by name: the data set that each is made of. */
export const featureSets = new Map<string, string>();

@Controller()
class PeerDoubles {
  @GrpcMethod('FeatureService', 'listFeatureSets')
  listFeatureSets(): featurization.ListFeatureSetsResponse {
    const empty = codecOf<featurization.FeatureSet>(messageType('emotune.featurization.v1.FeatureSet'));
    const spec = codecOf<featurization.FeatureSetSpec>(
      messageType('emotune.featurization.v1.FeatureSetSpec'),
    );
    const sets = [...featureSets].map(([name, dataset]) => ({
      ...empty.decode(Buffer.of()),
      name,
      state: common.BuildState.BUILD_STATE_BUILDING,
      spec: { ...spec.decode(Buffer.of()), name, dataset },
    }));
    return { featureSets: sets, nextPageToken: '' };
  }
}

@Module({})
class PeersModule {}
export const peers: DynamicModule = { module: PeersModule, controllers: [PeerDoubles] };
