import { AlreadyExists, InvalidArgument, NotFound } from '@emotune/base';
import { common, data } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { BUILD_STATE_BUILDING, BUILD_STATE_FAILED, BUILD_STATE_READY, created, note } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

/** Looks at a dataset or feature set so far: it is ready at the third. */
const looks = new Map<string, number>();

const manifest = {
  rows: { train: 80, validation: 10, test: 10 },
  sources: [
    {
      name: 'emotune-demo',
      licence: 'Apache-2.0',
      rows: 100,
      url: '',
      sha256: 'ab12',
      skipped: { 'no label': 2 },
    },
  ],
  tasks: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      rows: { train: 80, validation: 10, test: 10 },
      labels: [],
    },
    {
      task: common.Task.TASK_EMOTION_CLASSIFICATION,
      rows: { train: 30, validation: 1, test: 2 },
      labels: [
        { label: 'joy', rows: { train: 1200, validation: 1, test: 2 } },
        { label: 'fear', rows: { train: 7, validation: 0, test: 0 } },
      ],
    },
  ],
  duplicatesRemoved: 3,
  leaksRemoved: 1,
  conflicts: {
    texts: 1,
    rows: 3,
    examples: [
      {
        text: 'tea is tea',
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        emotion: '',
        answers: { positive: 2, neutral: 1 },
      },
    ],
  },
  files: [],
  cleaning: {
    nearDuplicates: 0.85,
    nearDuplicatesRemoved: 2,
    nearLeaksRemoved: 1,
    leaks: [
      {
        id: 'emotune-demo/1',
        text: 'tea at six',
        split: 'train',
        keptId: 'emotune-demo/2',
        keptText: 'Tea at six.',
        keptSplit: 'test',
      },
    ],
    near: [],
  },
  languages: [
    { language: 'en', rows: { train: 70, validation: 10, test: 10 } },
    { language: 'ro', rows: { train: 10, validation: 0, test: 0 } },
  ],
  licences: [
    {
      licence: 'Apache-2.0',
      rows: 100,
      sources: ['emotune-demo'],
      obligations: ['attribution'],
      known: true,
    },
  ],
  licenceConflicts: [],
  notices: ['emobank was replaced by demonstration data'],
};

function dataset(name: string): data.Dataset {
  const look = (looks.get(name) ?? 0) + 1;
  looks.set(name, look);
  const base = { name, spec: undefined, failure: '', createTime: created, readyTime: undefined };
  if (look < 3)
    return {
      ...base,
      state: BUILD_STATE_BUILDING,
      progress: { phase: 'writing', done: 50, total: 100, unit: 'rows' },
    } as unknown as data.Dataset;
  if (name === 'fails' || name === 'fails-now')
    return {
      ...base,
      state: BUILD_STATE_FAILED,
      failure: 'no source could be had',
      retryable: name === 'fails-now',
    } as unknown as data.Dataset;
  return { ...base, version: '0123456789ab', state: BUILD_STATE_READY, manifest } as unknown as data.Dataset;
}

@Controller()
@data.DatasetServiceControllerMethods()
export class Datasets implements data.DatasetServiceController {
  createDataset(request: data.CreateDatasetRequest): data.Dataset {
    const { spec } = note('createDataset', request);
    if (spec?.name === 'Refused')
      throw new InvalidArgument([
        { field: 'spec.name', description: 'expected lower-case letters, got "Refused"' },
        { field: 'spec.sources[0]', description: 'expected "corpus" or "file", got neither' },
      ]);
    if (spec?.name === 'taken') throw new AlreadyExists('a dataset "taken" with another spec exists');
    return dataset(spec!.name);
  }
  getDataset({ name }: data.GetDatasetRequest): data.Dataset {
    if (name === 'missing') throw new NotFound('expected a dataset, got "missing"');
    return dataset(name);
  }
  listDatasets({ pageToken }: data.ListDatasetsRequest): data.ListDatasetsResponse {
    for (let i = 0; i < 2; i++) for (const name of ['first', 'second']) dataset(name);
    return pageToken === ''
      ? { datasets: [dataset('first')], nextPageToken: 'more' }
      : { datasets: [dataset('second')], nextPageToken: '' };
  }
  previewDataset(
    request: data.PreviewDatasetRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<data.Example> {
    return streamOf(call!, async function* () {
      for (let i = 0; i < note('previewDataset', request).rows; i++)
        yield {
          id: `r${i}`,
          source: 'emotune-demo',
          task: common.Task.TASK_SENTIMENT_REGRESSION,
          text: `Text\n${i}`,
          value: 0.25 * i,
          scale: { low: 0, high: 1 },
        } as data.Example;
    });
  }
  deleteDataset({ name }: data.DeleteDatasetRequest): data.DeleteDatasetResponse {
    if (name === 'missing') throw new NotFound('expected a dataset, got "missing"');
    return {};
  }
  listLexicons(): data.ListLexiconsResponse {
    return {
      lexicons: [
        {
          name: 'emotag',
          title: 'EmoTag1200',
          language: 'und',
          licence: 'MIT',
          obligations: ['name its authors and its licence'],
          redistributable: true,
          url: 'https://example.org/emotag',
          sha256: ['ef56'],
          location: '',
          entries: 150,
        },
      ],
    };
  }
  provideLexicon({ name }: data.ProvideLexiconRequest): data.ProvideLexiconResponse {
    return { lexicon: undefined, key: `lexicons/${name}/1.json` };
  }
  listSources(): data.ListSourcesResponse {
    return {
      sources: [
        {
          name: 'emobank',
          title: 'EmoBank',
          licence: 'CC-BY-SA-4.0',
          url: 'https://example.org/emobank',
          sha256: 'cd34',
          location: '',
          tasks: [common.Task.TASK_SENTIMENT_REGRESSION],
          language: 'en',
        },
      ],
    };
  }
}
