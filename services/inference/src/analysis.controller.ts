import { inference } from '@emotune/proto';
import { leavingOf, requestsOf, type ServerCall, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Analyses, type Asker } from './analyses.js';

/** What tells who asks: its connection. */
interface Peer {
  getPeer(): string;
}

type Call = ServerCall & Peer;

function askerOf(call: Call): Asker {
  return { caller: call.getPeer(), signal: leavingOf(call) };
}

@Controller()
@inference.AnalysisServiceControllerMethods()
export class AnalysisController implements inference.AnalysisServiceController {
  constructor(@Inject(Analyses) private readonly analyses: Analyses) {}

  analyze(request: inference.AnalyzeRequest, _metadata?: unknown, call?: Call): Promise<inference.Analysis> {
    return this.analyses.analyze(request, askerOf(call!));
  }

  async analyzeBatch(
    { requests }: inference.AnalyzeBatchRequest,
    _metadata?: unknown,
    call?: Call,
  ): Promise<inference.AnalyzeBatchResponse> {
    // What leaves is encoded already.
    return (await this.analyses.analyzeBatch(requests, askerOf(call!))) as never;
  }

  analyzeStream(
    requests: Observable<inference.AnalyzeRequest>,
    _metadata?: unknown,
    call?: ServerStreamCall & Peer,
  ): Observable<inference.Analysis> {
    return streamOf(call!, (signal) =>
      this.analyses.analyzeStream(requestsOf(requests, call!, signal), { caller: call!.getPeer(), signal }),
    );
  }
}
