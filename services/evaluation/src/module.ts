import { type DynamicModule, Module } from '@nestjs/common';
import { EvaluationController } from './evaluation.controller.js';
import { type EvaluationContext, Evaluations } from './evaluations.js';

@Module({})
class EvaluationServiceModule {}

/** The evaluation service: how good models answer, and the reports of it. */
export function evaluationModule(context: EvaluationContext): DynamicModule {
  return {
    module: EvaluationServiceModule,
    controllers: [EvaluationController],
    providers: [{ provide: Evaluations, useValue: new Evaluations(context) }],
  };
}
