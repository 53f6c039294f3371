/** The evaluation service on real ground, with evaluations and a dataset to draw from. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labelGold, numberGold, type SourceExample } from '@emotune/affect';
import { NotFound, systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { common, type data, evaluation } from '@emotune/proto';
import { encodeExamples, encodePredictions, type Prediction } from '@emotune/records';
import { type Client, type Draft, Host, jsonLog, type ServiceContext } from '@emotune/service';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { evaluationMigrations } from '../evaluations.js';
import { evaluationModule } from '../module.js';

/** The dataset that there is. */
@Controller()
class DatasetDouble {
  @GrpcMethod('DatasetService', 'getDataset')
  getDataset({ name }: data.GetDatasetRequest): Partial<data.Dataset> {
    if (name !== 'letters') throw new NotFound(`expected a dataset, got ${name}`);
    return {
      name,
      prefix: 'datasets/letters/d1',
      state: common.BuildState.BUILD_STATE_READY,
      manifest: { sources: [{ name: 'notes', licence: 'CC-BY-SA-4.0' }] } as never,
    };
  }
}

@Module({})
class DoublesModule {}
const doubles: DynamicModule = { module: DoublesModule, controllers: [DatasetDouble] };

const row = (i: number) => ({
  source: 'notes',
  language: 'en',
  text: `note number ${i}, and how it went`,
  emotion: null,
  multiLabel: false,
});

/** A prediction of a sentiment on -4..4; the interval is wide where `i` is large. */
export function numberPrediction(i: number, more: Partial<Prediction> = {}): Prediction {
  const value = (i % 9) / 8;
  return {
    ...{ id: `notes/${i}`, task: 'sentiment-regression', ...row(i) },
    ...{ labelSet: [], scale: { low: -4, high: 4 }, decimals: 1, gold: numberGold(value) },
    ...{ value, low: value - i / 1000, high: value + i / 1000, labels: [], confidence: null, nll: null },
    ...{ within: [], crps: null, cut: false },
    ...more,
  };
}

const sentiments = ['negative', 'neutral', 'positive'];

export function labelPrediction(i: number, label: string, more: Partial<Prediction> = {}): Prediction {
  return {
    ...{ id: `labels/${i}`, task: 'sentiment-classification', ...row(i) },
    ...{ labelSet: sentiments, scale: null, decimals: 0, gold: labelGold([label]) },
    ...{ value: null, low: null, high: null, labels: [label], confidence: 0.5 + (i % 10) / 20, nll: 1 },
    ...{ within: [], crps: null, cut: false },
    ...more,
  };
}

export const studyFields: Draft<evaluation.StudySpec> = {
  name: 'by-hand',
  consent: 'Your answers are kept.',
  licence: 'CC-BY-4.0',
  sample: { evaluation: 'first-1', items: 4 },
  rating: { task: common.Task.TASK_SENTIMENT_REGRESSION },
  raters: ['ada', 'ben'],
  attention: { builtIn: 0 },
};

export interface TestService {
  readonly context: ServiceContext;
  readonly studies: Client<evaluation.StudyServiceClient>;
  readonly raters: Client<evaluation.RaterServiceClient>;
  /** Stores an evaluation that is done. */
  evaluated(id: string, predictions: readonly Prediction[]): Promise<void>;
  /** The same again over what is stored. */
  restart(): Promise<TestService>;
  close(): Promise<void>;
}

const token = 'a-token-of-a-platform-that-is-long-enough';

async function startIn(folder: string, url: string): Promise<TestService> {
  const objects = await FolderStore.open(join(folder, 'objects'));
  const host = await Host.create({
    database: (schema) => Database.connect(url, schema),
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
    token,
  });
  const context = await host.context('evaluation', evaluationMigrations);
  await host.start([
    evaluationModule({
      ...context,
      threads: 1,
      page: { listen: '127.0.0.1:0', url: undefined, required: true },
    }),
    doubles,
  ]);
  const end = () => host.close();
  return {
    context,
    studies: context.channel.client<evaluation.StudyServiceClient>('StudyService'),
    raters: context.channel.client<evaluation.RaterServiceClient>('RaterService'),
    async evaluated(id, predictions) {
      await objects.put(`evaluations/${id}/predictions.arrow`, encodePredictions(predictions));
      const [model] = id.split('-');
      await context.database.query(
        `insert into evaluations (id, model, version, dataset, state) values ($1, $2, 'v1', 'letters', $3) on conflict do nothing`,
        [id, model, common.BuildState.BUILD_STATE_READY],
      );
    },
    async restart() {
      await end();
      return startIn(folder, url);
    },
    async close() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The rows of the dataset's test split. */
const letters: readonly SourceExample[] = Array.from({ length: 30 }, (_, i) => ({
  ...{ id: `letters/${i}`, originalId: `${i}`, licence: 'MIT', split: 'test', ...row(i) },
  ...{ task: 'sentiment-classification', labelSet: sentiments, scale: null, gold: labelGold(['neutral']) },
}));

export async function startService(): Promise<TestService> {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-studies-'));
  const service = await startIn(folder, await testDatabaseUrl());
  await service.evaluated(
    'first-1',
    Array.from({ length: 100 }, (_, i) => numberPrediction(i)),
  );
  await service.context.objects.put('datasets/letters/d1/test.parquet', encodeExamples([...letters]));
  return service;
}
