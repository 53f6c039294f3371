import { type DynamicModule, Module } from '@nestjs/common';
import { EvaluationController } from './evaluation.controller.js';
import { type EvaluationContext, Evaluations } from './evaluations.js';
import { StudyPage } from './studies/page-server.js';
import { RaterController } from './studies/rater.controller.js';
import { Raters } from './studies/raters.js';
import { Studies } from './studies/studies.js';
import { StudyController } from './studies/study.controller.js';

@Module({})
class EvaluationServiceModule {}

/** The evaluation service: how good models answer, the reports of it, and studies in which people judge. */
export function evaluationModule(context: EvaluationContext): DynamicModule {
  const raters = new Raters(context);
  const page = new StudyPage(context, raters, context.page);
  return {
    module: EvaluationServiceModule,
    controllers: [EvaluationController, StudyController, RaterController],
    providers: [
      { provide: Evaluations, useValue: new Evaluations(context) },
      { provide: Studies, useValue: new Studies(context, page) },
      { provide: Raters, useValue: raters },
      { provide: StudyPage, useValue: page },
    ],
  };
}
