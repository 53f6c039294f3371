import { eventTables } from '@emotune/events';
import { type DynamicModule, Module } from '@nestjs/common';
import { Analyses } from './analyses.js';
import { AnalysisController } from './analysis.controller.js';
import type { InferenceContext } from './loaded-models.js';

/** It keeps nothing of its own: models belong to the tuning service. */
export const inferenceMigrations: readonly string[] = [eventTables];

@Module({})
class InferenceServiceModule {}

/** The inference service: loaded models and what they answer. */
export function inferenceModule(context: InferenceContext): DynamicModule {
  return {
    module: InferenceServiceModule,
    controllers: [AnalysisController],
    providers: [{ provide: Analyses, useValue: new Analyses(context) }],
  };
}
