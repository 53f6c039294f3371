import type { evaluation } from '@emotune/proto';
import { type Channel, type Client, everyPage } from '@emotune/service/client';
import { messageJson, shortEnumName } from '@emotune/service/spec';
import { comparisonJson, comparisonText } from '../format/comparison.js';
import { table } from '../format/text.js';
import { type AddCommands, asks } from './options.js';

const serviceOf = (channel: Channel): Client<evaluation.EvaluationServiceClient> =>
  channel.client('EvaluationService');

export const addEvaluationCommands: AddCommands = (program, io) => {
  const evaluations = program
    .command('evaluation')
    .alias('evaluations')
    .description('evaluations that were made');

  evaluations
    .command('list')
    .description('list all evaluations, the newest first')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => serviceOf(channel).call('listEvaluations', { pageToken }, { signal }),
          (reply) => reply.evaluations,
        );
        const rows = all.map(({ id, model, dataset, state }) => [id, model, dataset, shortEnumName(state)]);
        await session.answer(
          all.map((one) => messageJson('emotune.evaluation.v1.Evaluation', one)),
          () => table(['id', 'model', 'dataset', 'state'], rows),
        );
      }),
    );

  const named = 'id of an evaluation, or a model: NAME or NAME@VERSION';
  evaluations
    .command('compare')
    .description('tell whether two models answered the same rows alike, subtask by subtask')
    .argument('<first>', named)
    .argument('<second>', named)
    .action(
      asks(io, async ({ session, channel, signal }, first: string, second: string) => {
        const comparison = await serviceOf(channel).call('compareEvaluations', { first, second }, { signal });
        await session.answer(comparisonJson(comparison), () => comparisonText(comparison));
      }),
    );

  evaluations
    .command('delete')
    .description('delete an evaluation and its files')
    .argument('<id>', 'as "emotune evaluate" prints it')
    .action(
      asks(io, async ({ session, channel, signal }, id: string) => {
        await serviceOf(channel).call('deleteEvaluation', { id }, { signal });
        await session.answer({ id, deleted: true }, () => `evaluation ${id} is deleted`);
      }),
    );
};
