import { evaluation } from '@emotune/proto';
import { bearerIn, secretOfGuest } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import { Raters } from './raters.js';

/** What Nest hands a method as its second argument. */
type Metadata = Parameters<typeof bearerIn>[0];

function ticketIn(metadata: Metadata): string {
  return secretOfGuest(bearerIn(metadata) ?? '');
}

@Controller()
@evaluation.RaterServiceControllerMethods()
export class RaterController implements evaluation.RaterServiceController {
  constructor(@Inject(Raters) private readonly raters: Raters) {}

  getInvitation(
    _request: evaluation.GetInvitationRequest,
    metadata?: Metadata,
  ): Promise<evaluation.Invitation> {
    return this.raters.invitation(ticketIn(metadata));
  }

  joinStudy(
    request: evaluation.JoinStudyRequest,
    metadata?: Metadata,
  ): Promise<evaluation.JoinStudyResponse> {
    return this.raters.join(request, ticketIn(metadata));
  }

  nextItem(request: evaluation.NextItemRequest, metadata?: Metadata): Promise<evaluation.NextItemResponse> {
    return this.raters.next(request, ticketIn(metadata));
  }

  judge(request: evaluation.JudgeRequest, metadata?: Metadata): Promise<evaluation.JudgeResponse> {
    return this.raters.judge(request, ticketIn(metadata));
  }
}
