import { tuning } from '@emotune/proto';
import { leavingOf, type ServerCall } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import { Insights } from './insight.js';

@Controller()
@tuning.InsightServiceControllerMethods()
export class InsightController implements tuning.InsightServiceController {
  constructor(@Inject(Insights) private readonly insights: Insights) {}

  getInsight({ experiment }: tuning.GetInsightRequest): Promise<tuning.Insight> {
    return this.insights.of(experiment);
  }

  explainTrial(
    { experiment, number }: tuning.ExplainTrialRequest,
    _metadata?: unknown,
    call?: ServerCall,
  ): Promise<tuning.TrialExplanation> {
    return this.insights.explain(experiment, number, leavingOf(call!));
  }
}
