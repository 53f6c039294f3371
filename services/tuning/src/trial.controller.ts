import { tuning } from '@emotune/proto';
import { bearerIn, secretOfGuest } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import { Trials } from './trials.js';

/** What Nest hands a method as its second argument. */
type Metadata = Parameters<typeof bearerIn>[0];

function secretIn(metadata: Metadata): string {
  return secretOfGuest(bearerIn(metadata) ?? '');
}

@Controller()
@tuning.TrialServiceControllerMethods()
export class TrialController implements tuning.TrialServiceController {
  constructor(@Inject(Trials) private readonly trials: Trials) {}

  getAssignment(request: tuning.GetAssignmentRequest, metadata?: Metadata): Promise<tuning.Assignment> {
    return this.trials.assignment(request, secretIn(metadata));
  }

  heartbeat(request: tuning.HeartbeatRequest, metadata?: Metadata): Promise<tuning.HeartbeatResponse> {
    return this.trials.heartbeat(request, secretIn(metadata));
  }

  finishTrial(request: tuning.FinishTrialRequest, metadata?: Metadata): Promise<tuning.FinishTrialResponse> {
    return this.trials.finish(request, secretIn(metadata));
  }
}
