import { tuning } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { deleteModel } from './deletions.js';
import { deleteExport, exportModel } from './model-export.js';
import { importHubModel, importModel } from './model-import.js';
import { Models } from './models.js';
import { withProgress } from './with-progress.js';

@Controller()
@tuning.ModelServiceControllerMethods()
export class ModelController implements tuning.ModelServiceController {
  constructor(@Inject(Models) private readonly models: Models) {}

  getModel({ name }: tuning.GetModelRequest): Promise<tuning.Model> {
    return this.models.get(name);
  }

  listModels(request: tuning.ListModelsRequest): Promise<tuning.ListModelsResponse> {
    return this.models.list(request);
  }

  promoteModel(request: tuning.PromoteModelRequest): Promise<tuning.Model> {
    return this.models.promote(request);
  }

  async deleteModel({ name }: tuning.DeleteModelRequest): Promise<tuning.DeleteModelResponse> {
    return { deleted: await deleteModel(this.models, name) };
  }

  exportModel(request: tuning.ExportModelRequest): Promise<tuning.ExportModelResponse> {
    return exportModel(this.models, request);
  }

  async deleteExport(request: tuning.DeleteExportRequest): Promise<tuning.DeleteExportResponse> {
    return { deleted: await deleteExport(this.models, request) };
  }

  importModel(request: tuning.ImportModelRequest): Promise<tuning.Model> {
    return importModel(this.models, request);
  }

  importHubModel(
    request: tuning.ImportHubModelRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<tuning.ImportHubModelResponse> {
    return streamOf(call!, (signal) =>
      withProgress(this.models.context.clock, (onProgress) =>
        importHubModel(this.models, request, { signal, onProgress }),
      ),
    );
  }
}
