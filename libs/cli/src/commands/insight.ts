import type { tuning } from '@emotune/proto';
import type { Channel, Client } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import type { Command } from 'commander';
import { explanationText, insightText } from '../format/insight.js';
import type { Io } from '../io.js';
import { asks, integerFrom } from './options.js';

const insightsOf = (channel: Channel): Client<tuning.InsightServiceClient> =>
  channel.client('InsightService');

/** What can be asked about the trials of an experiment, beside their list. */
export function addInsightCommands(experiment: Command, io: Io): void {
  experiment
    .command('insight')
    .description('show what the trials teach: importance, dependence, fronts, how sure the lead is')
    .argument('<name>')
    .addHelpText(
      'after',
      '\nWith --json also history, slices, parallel coordinates and every point.\n\nExample:\n  emotune experiment insight first',
    )
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        const found = await insightsOf(channel).call('getInsight', { experiment: name }, { signal });
        await session.answer(messageJson('emotune.tuning.v1.Insight', found), () => insightText(found));
      }),
    );

  experiment
    .command('explain')
    .description('say why a trial was suggested and why it ended')
    .argument('<name>')
    .argument('<trial>', 'its number', integerFrom(0))
    .addHelpText('after', '\nExample:\n  emotune experiment explain first 3')
    .action(
      asks(io, async ({ session, channel, signal }, name: string, number: number) => {
        const request = { experiment: name, number };
        const found = await insightsOf(channel).call('explainTrial', request, { signal });
        await session.answer(messageJson('emotune.tuning.v1.TrialExplanation', found), () =>
          explanationText(found),
        );
      }),
    );
}
