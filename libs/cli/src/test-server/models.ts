import { FailedPrecondition, NotFound, sha256 } from '@emotune/base';
import type { FolderStore } from '@emotune/objects';
import { tuning } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { created, note } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

let store: FolderStore;

/** Where uploads lie. */
export function serveFrom(objects: FolderStore): void {
  store = objects;
}

function model(name: string): tuning.Model {
  return {
    name,
    version: 'aa11',
    kind: tuning.ModelKind.MODEL_KIND_TUNED,
    state: tuning.ModelState.MODEL_STATE_REGISTERED,
    family: 'opt',
    parameters: 4_000_000,
    prefix: `models/${name}/aa11`,
    promoted: true,
    lineage: {
      experiment: 'first',
      trial: 0,
      baseModel: 'emotune-opt-4m',
      baseVersion: 'bb22',
      parameters: { learningRate: 0.001 },
      tokens: 200_000,
    },
    createTime: created,
  } as unknown as tuning.Model;
}

@Controller()
@tuning.ModelServiceControllerMethods()
export class Models implements tuning.ModelServiceController {
  getModel({ name }: tuning.GetModelRequest): tuning.Model {
    if (name === 'missing') throw new NotFound('expected a model, got "missing"');
    return model(name);
  }
  listModels(): tuning.ListModelsResponse {
    return { models: [model('first')], nextPageToken: '' };
  }
  deleteModel({ name }: tuning.DeleteModelRequest): tuning.DeleteModelResponse {
    note('deleteModel', name);
    return { deleted: [`${name}@aa11`, `${name}@bb22`] };
  }
  deleteExport(request: tuning.DeleteExportRequest): tuning.DeleteExportResponse {
    note('deleteExport', request);
    return { deleted: request.format === '' ? ['peft', 'safetensors'] : [request.format] };
  }
  promoteModel(request: tuning.PromoteModelRequest): tuning.Model {
    const { name, force } = note('promoteModel', request);
    return { ...model(name), notices: force ? [] : ['it was not compared'] };
  }
  exportModel(request: tuning.ExportModelRequest): tuning.ExportModelResponse {
    note('exportModel', request);
    const artifact = (path: string, content: string) => ({
      path,
      bytes: content.length,
      sha256: sha256(content),
      name: `exports/first/${path}`,
    });
    return { files: [artifact('config.json', '{}'), artifact('model.safetensors', 'weights')] };
  }
  async importModel(request: tuning.ImportModelRequest): Promise<tuning.Model> {
    const { files, name } = note('importModel', request);
    for (const { path, sha256: hash } of files)
      if (!(await store.exists(`uploads/${hash}`)))
        throw new FailedPrecondition(`the content of ${path} is not here`);
    return { ...model(name), notices: ['config.json: spare: not read'] };
  }
  importHubModel(
    request: tuning.ImportHubModelRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ImportHubModelResponse> {
    const { name } = note('importHubModel', request);
    const progress = { phase: 'downloading model.safetensors', done: 1, total: 2, unit: 'bytes' };
    return streamOf(call!, async function* () {
      yield { progress };
      yield { model: model(name) };
    });
  }
}
