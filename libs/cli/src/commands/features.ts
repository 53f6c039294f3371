import type { featurization } from '@emotune/proto';
import { type Channel, type Client, type Draft, everyPage } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import {
  cueJson,
  explanationText,
  featureExampleText,
  featureSetsText,
  featureSetText,
} from '../format/features.js';
import { newRequestId, type Session, withPlatform } from '../session.js';
import { type AddCommands, asks, fileOption, integerFrom, sessionOf, splitOption } from './options.js';
import { readSpec, submit, untilBuilt } from './specs.js';

const specType = 'emotune.featurization.v1.FeatureSetSpec';

const createExamples = `
Example:
  emotune features create -f features.yaml

features.yaml:
  name: reviews
  dataset: reviews
  baseModels: [emotune-opt-4m, emotune-bloom-4m, emotune-llama-4m]`;

interface PreviewOptions {
  readonly split: string;
  readonly rows: number;
  readonly baseModel?: string;
}

const featuresOf = (channel: Channel): Client<featurization.FeatureServiceClient> =>
  channel.client('FeatureService');

const setJson = (set: featurization.FeatureSet) => messageJson('emotune.featurization.v1.FeatureSet', set);

function answer(session: Session, set: featurization.FeatureSet): Promise<void> {
  return session.answer(setJson(set), () => featureSetText(set));
}

export const addFeaturesCommands: AddCommands = (program, io) => {
  const features = program
    .command('features')
    .description('feature sets: prompts with lexicon cues, tokenised for base models');

  features
    .command('explain')
    .description('show the lexicon cues found in one text')
    .argument('<text>')
    .addHelpText('after', '\nExample:\n  emotune features explain "not a very good idea"')
    .action(
      asks(io, async ({ session, channel, signal }, text: string) => {
        const found = await featuresOf(channel).call('explainText', { text }, { signal });
        const { cues, cueText, vader, afinn } = found;
        await session.answer({ text, cues: cues.map(cueJson), cueText, vader, afinn }, () =>
          explanationText(found),
        );
      }),
    );

  features
    .command('create')
    .description('build a feature set and wait until it is ready')
    .addOption(fileOption('feature set'))
    .option('--no-wait', 'leave once it is accepted')
    .addHelpText('after', createExamples)
    .action(async ({ file, wait }: { file: string; wait: boolean }, command) => {
      const session = sessionOf(io, command);
      const { signal } = session;
      const spec = await readSpec<Draft<featurization.FeatureSetSpec>>(session, file, specType);
      await withPlatform(session, async (channel, embedded) => {
        const accepted = await submit(() =>
          featuresOf(channel).call('createFeatureSet', { spec, requestId: newRequestId() }, { signal }),
        );
        const { name } = accepted;
        if (wait) {
          const ready = await untilBuilt(session, 'feature set', () =>
            featuresOf(channel).call('getFeatureSet', { name }, { signal }),
          );
          return answer(session, ready);
        }
        if (embedded) session.note(`feature set ${name} is built while a platform runs: see "emotune up"`);
        return answer(session, accepted);
      });
    });

  features
    .command('list')
    .description('list all feature sets')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => featuresOf(channel).call('listFeatureSets', { pageToken }, { signal }),
          (reply) => reply.featureSets,
        );
        await session.answer(all.map(setJson), () => featureSetsText(all));
      }),
    );

  features
    .command('get')
    .description('show what a feature set holds')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) =>
        answer(session, await featuresOf(channel).call('getFeatureSet', { name }, { signal })),
      ),
    );

  features
    .command('preview')
    .description('show rows as a model sees them: the prompt, its tokens and those of the answer')
    .argument('<name>')
    .addOption(splitOption('which rows').default('train'))
    .option('--rows <n>', 'how many', integerFrom(1), 3)
    .option('--base-model <name>', 'whose tokens (default: the first of the feature set)')
    .addHelpText('after', '\nExample:\n  emotune features preview reviews --split test --rows 1')
    .action(
      asks(io, async ({ session, channel, signal }, name: string, options: PreviewOptions) => {
        const request = { name, ...options, baseModel: options.baseModel ?? '' };
        const stream = featuresOf(channel).stream('previewFeatureSet', request, { signal });
        let first = true;
        for await (const example of stream) {
          if (session.json)
            await session.write(
              JSON.stringify(messageJson('emotune.featurization.v1.FeatureExample', example)),
            );
          else await session.write(`${first ? '' : '\n'}${featureExampleText(example)}`);
          first = false;
        }
      }),
    );

  features
    .command('delete')
    .description('delete a feature set and its shards')
    .argument('<name>')
    .action(
      asks(io, async ({ session, channel, signal }, name: string) => {
        await featuresOf(channel).call('deleteFeatureSet', { name }, { signal });
        await session.answer({ name, deleted: true }, () => `feature set ${name} is deleted`);
      }),
    );
};
