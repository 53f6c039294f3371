import { NotFound } from '@emotune/base';
import { common, featurization } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { BUILD_STATE_READY, created, note } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

function featureSet(name: string): featurization.FeatureSet {
  return {
    name,
    version: 'fedcba987654',
    spec: { name, dataset: 'first', baseModels: ['emotune-opt-4m'] },
    datasetVersion: '0123456789ab',
    state: BUILD_STATE_READY,
    failure: '',
    tokenized: [
      {
        tokenizer: 'aa',
        baseModels: ['emotune-opt-4m'],
        prefix: `features/${name}/fedcba987654/aa`,
        splits: [
          {
            split: 'train',
            rows: 1200,
            tokens: 34_000,
            answerTokens: 2400,
            longest: 60,
            cut: 1,
            files: ['train-00000.arrow'],
            rowsByTask: { 'sentiment-regression': 1200 },
            rowsByDerivation: {},
            labels: [],
          },
        ],
      },
    ],
    createTime: created,
    readyTime: created,
    prefix: `features/${name}/fedcba987654`,
  } as unknown as featurization.FeatureSet;
}

export const cue = {
  text: 'very good',
  lexicon: 'vader',
  dimension: 'valence',
  score: 2.2,
  start: 0,
  end: 9,
  modifier: 'very',
};

@Controller()
@featurization.FeatureServiceControllerMethods()
export class Features implements featurization.FeatureServiceController {
  createFeatureSet(request: featurization.CreateFeatureSetRequest): featurization.FeatureSet {
    return featureSet(note('createFeatureSet', request).spec!.name);
  }
  getFeatureSet({ name }: featurization.GetFeatureSetRequest): featurization.FeatureSet {
    if (name === 'missing') throw new NotFound('expected a feature set, got "missing"');
    return featureSet(name);
  }
  deleteFeatureSet(request: featurization.DeleteFeatureSetRequest): featurization.DeleteFeatureSetResponse {
    note('deleteFeatureSet', request);
    return {};
  }
  listFeatureSets(): featurization.ListFeatureSetsResponse {
    return { featureSets: [featureSet('first')], nextPageToken: '' };
  }
  previewFeatureSet(
    request: featurization.PreviewFeatureSetRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<featurization.FeatureExample> {
    note('previewFeatureSet', request);
    return streamOf(call!, async function* () {
      yield {
        id: 'demo/1',
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        source: 'demo',
        prompt: 'How is this?\nA fine day',
        answer: 'good',
        tokens: ['How', 'Ġis', '\n', 'Ġfine', 'good', '</s>'].map((text, id) => ({ id, text })),
        promptTokens: 4,
        derivedFrom: '',
        derivedBy: '',
      };
    });
  }
  explainText({ text }: featurization.ExplainTextRequest): featurization.ExplainTextResponse {
    return text === 'plain'
      ? { cues: [], cueText: '', vader: 0, afinn: 0 }
      : { cues: [cue], cueText: 'very good +2.2', vader: 0.49, afinn: 3 };
  }
}
