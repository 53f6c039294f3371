import { Aborted } from '@emotune/base';
import { inference } from '@emotune/proto';
import { requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Analyses } from './analyses.js';

/** Aborts when the caller cancels or its deadline passes. */
function signalOf(call: Pick<ServerStreamCall, 'on'>): AbortSignal {
  const abort = new AbortController();
  call.on('cancelled', () => abort.abort(new Aborted('the caller cancelled')));
  return abort.signal;
}

@Controller()
@inference.AnalysisServiceControllerMethods()
export class AnalysisController implements inference.AnalysisServiceController {
  constructor(@Inject(Analyses) private readonly analyses: Analyses) {}

  analyze(
    request: inference.AnalyzeRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Promise<inference.Analysis> {
    return this.analyses.analyze(request, signalOf(call!));
  }

  async analyzeBatch(
    { requests }: inference.AnalyzeBatchRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Promise<inference.AnalyzeBatchResponse> {
    return { analyses: await this.analyses.analyzeBatch(requests, signalOf(call!)) };
  }

  analyzeStream(
    requests: Observable<inference.AnalyzeRequest>,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<inference.Analysis> {
    return streamOf(call!, (signal) =>
      this.analyses.analyzeStream(requestsOf(requests, call!, signal), signal),
    );
  }
}
