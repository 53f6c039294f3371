import { NotFound } from '@emotune/base';
import { events } from '@emotune/proto';
import { Controller } from '@nestjs/common';
import { created, note } from './shared.js';

const letter: events.DeadLetter = {
  ...{ id: 'evaluation/e-1', topic: 'emotune.model.trained.v1', group: 'evaluation', key: 'first' },
  ...{
    eventId: 'e-1',
    reason: 'Error: no\x1b room',
    time: created,
    messageType: 'emotune.tuning.v1.ModelTrained',
  },
  ...{ messageJson: '', payload: Buffer.from([8, 255]), headers: { 'event-id': 'e-1' } },
};

@Controller()
@events.DeadLetterServiceControllerMethods()
export class DeadLetters implements events.DeadLetterServiceController {
  async listDeadLetters(request: events.ListDeadLettersRequest): Promise<events.ListDeadLettersResponse> {
    note('listDeadLetters', request);
    const second = { ...letter, id: 'evaluation/e-2' };
    if (request.pageToken === 'more') return { deadLetters: [second], nextPageToken: '' };
    return { deadLetters: [letter], nextPageToken: 'more' };
  }

  async getDeadLetter({ id }: events.GetDeadLetterRequest): Promise<events.DeadLetter> {
    if (id === 'evaluation/e-2') return { ...letter, id, messageJson: '{"name":"first"}' };
    if (id !== letter.id) throw new NotFound(`there is no dead letter ${id}`);
    return letter;
  }

  async replayDeadLetters(
    request: events.ReplayDeadLettersRequest,
  ): Promise<events.ReplayDeadLettersResponse> {
    note('replayDeadLetters', request);
    return { deadLetters: request.ids.map((id) => ({ ...letter, id })) };
  }
}
