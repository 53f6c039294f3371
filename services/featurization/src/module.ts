import { type DynamicModule, Module } from '@nestjs/common';
import { FeatureController } from './feature.controller.js';
import { FeatureSets, type FeaturizationContext } from './feature-sets.js';

@Module({})
class FeaturizationServiceModule {}

/** The featurization service: feature sets and lexicon cues. */
export function featurizationModule(context: FeaturizationContext): DynamicModule {
  return {
    module: FeaturizationServiceModule,
    controllers: [FeatureController],
    providers: [{ provide: FeatureSets, useValue: new FeatureSets(context) }],
  };
}
