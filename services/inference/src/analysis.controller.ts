import { Aborted } from '@emotune/base';
import { inference } from '@emotune/proto';
import { requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Analyses, type Asker } from './analyses.js';

/** What Nest hands a method as its third argument. */
interface Call extends ServerStreamCall {
  readonly cancelled: boolean;
  getPeer(): string;
}

/** Who asks, by its connection, and a signal that aborts when it leaves or its deadline passes. */
function asker(call: Call): Asker {
  const abort = new AbortController();
  const leave = () => abort.abort(new Aborted('the caller cancelled'));
  call.on('cancelled', leave);
  if (call.cancelled) leave();
  return { caller: call.getPeer(), signal: abort.signal };
}

@Controller()
@inference.AnalysisServiceControllerMethods()
export class AnalysisController implements inference.AnalysisServiceController {
  constructor(@Inject(Analyses) private readonly analyses: Analyses) {}

  analyze(request: inference.AnalyzeRequest, _metadata?: unknown, call?: Call): Promise<inference.Analysis> {
    return this.analyses.analyze(request, asker(call!));
  }

  async analyzeBatch(
    { requests }: inference.AnalyzeBatchRequest,
    _metadata?: unknown,
    call?: Call,
  ): Promise<inference.AnalyzeBatchResponse> {
    // What leaves is encoded already.
    return (await this.analyses.analyzeBatch(requests, asker(call!))) as never;
  }

  analyzeStream(
    requests: Observable<inference.AnalyzeRequest>,
    _metadata?: unknown,
    call?: Call,
  ): Observable<inference.Analysis> {
    return streamOf(call!, (signal) =>
      this.analyses.analyzeStream(requestsOf(requests, call!, signal), { ...asker(call!), signal }),
    );
  }
}
