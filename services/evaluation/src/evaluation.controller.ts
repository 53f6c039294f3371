import { evaluation } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Evaluations } from './evaluations.js';

@Controller()
@evaluation.EvaluationServiceControllerMethods()
export class EvaluationController implements evaluation.EvaluationServiceController {
  constructor(@Inject(Evaluations) private readonly evaluations: Evaluations) {}

  evaluate(request: evaluation.EvaluateRequest): Promise<evaluation.Evaluation> {
    return this.evaluations.evaluate(request);
  }

  getEvaluation({ id }: evaluation.GetEvaluationRequest): Promise<evaluation.Evaluation> {
    return this.evaluations.get(id);
  }

  listEvaluations(request: evaluation.ListEvaluationsRequest): Promise<evaluation.ListEvaluationsResponse> {
    return this.evaluations.list(request);
  }

  watchEvaluation(
    { id }: evaluation.WatchEvaluationRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<evaluation.Evaluation> {
    return streamOf(call!, (signal) => this.evaluations.watch(id, signal));
  }

  compareEvaluations(request: evaluation.CompareEvaluationsRequest): Promise<evaluation.Comparison> {
    return this.evaluations.compare(request);
  }

  async deleteEvaluation({
    id,
  }: evaluation.DeleteEvaluationRequest): Promise<evaluation.DeleteEvaluationResponse> {
    await this.evaluations.delete(id);
    return {};
  }
}
