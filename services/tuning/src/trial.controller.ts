import { tuning } from '@emotune/proto';
import { Controller, Inject } from '@nestjs/common';
import { Trials } from './trials.js';

/** What Nest hands a method as its second argument. */
interface Metadata {
  get(key: string): readonly (string | Buffer)[];
}

function tokenIn(metadata: Metadata | undefined): string {
  const [header] = metadata?.get('authorization') ?? [];
  return String(header ?? '').replace(/^Bearer /, '');
}

@Controller()
@tuning.TrialServiceControllerMethods()
export class TrialController implements tuning.TrialServiceController {
  constructor(@Inject(Trials) private readonly trials: Trials) {}

  getAssignment(request: tuning.GetAssignmentRequest, metadata?: Metadata): Promise<tuning.Assignment> {
    return this.trials.assignment(request, tokenIn(metadata));
  }

  heartbeat(request: tuning.HeartbeatRequest, metadata?: Metadata): Promise<tuning.HeartbeatResponse> {
    return this.trials.heartbeat(request, tokenIn(metadata));
  }

  finishTrial(request: tuning.FinishTrialRequest, metadata?: Metadata): Promise<tuning.FinishTrialResponse> {
    return this.trials.finish(request, tokenIn(metadata));
  }
}
