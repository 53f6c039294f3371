import { data } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Datasets } from './datasets.js';
import { LexiconShelf } from './lexicons/shelf.js';

@Controller()
@data.DatasetServiceControllerMethods()
export class DatasetController implements data.DatasetServiceController {
  constructor(
    @Inject(Datasets) private readonly datasets: Datasets,
    @Inject(LexiconShelf) private readonly lexicons: LexiconShelf,
  ) {}

  createDataset(request: data.CreateDatasetRequest): Promise<data.Dataset> {
    return this.datasets.create(request);
  }

  getDataset({ name }: data.GetDatasetRequest): Promise<data.Dataset> {
    return this.datasets.get(name);
  }

  listDatasets(request: data.ListDatasetsRequest): Promise<data.ListDatasetsResponse> {
    return this.datasets.list(request);
  }

  previewDataset(
    request: data.PreviewDatasetRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<data.Example> {
    return streamOf(call!, () => this.datasets.preview(request));
  }

  async deleteDataset({ name }: data.DeleteDatasetRequest): Promise<data.DeleteDatasetResponse> {
    await this.datasets.delete(name);
    return {};
  }

  async listSources(): Promise<data.ListSourcesResponse> {
    return { sources: await this.datasets.sources() };
  }

  async listLexicons(): Promise<data.ListLexiconsResponse> {
    return { lexicons: await this.lexicons.list() };
  }

  provideLexicon({ name }: data.ProvideLexiconRequest): Promise<data.ProvideLexiconResponse> {
    return this.lexicons.provide(name);
  }
}
