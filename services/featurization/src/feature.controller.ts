import { featurization } from '@emotune/proto';
import { type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { FeatureSets } from './feature-sets.js';

@Controller()
@featurization.FeatureServiceControllerMethods()
export class FeatureController implements featurization.FeatureServiceController {
  constructor(@Inject(FeatureSets) private readonly featureSets: FeatureSets) {}

  createFeatureSet(request: featurization.CreateFeatureSetRequest): Promise<featurization.FeatureSet> {
    return this.featureSets.create(request);
  }

  getFeatureSet({ name }: featurization.GetFeatureSetRequest): Promise<featurization.FeatureSet> {
    return this.featureSets.get(name);
  }

  listFeatureSets(
    request: featurization.ListFeatureSetsRequest,
  ): Promise<featurization.ListFeatureSetsResponse> {
    return this.featureSets.list(request);
  }

  async deleteFeatureSet({
    name,
  }: featurization.DeleteFeatureSetRequest): Promise<featurization.DeleteFeatureSetResponse> {
    await this.featureSets.delete(name);
    return {};
  }

  previewFeatureSet(
    request: featurization.PreviewFeatureSetRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<featurization.FeatureExample> {
    return streamOf(call!, (signal) => this.featureSets.preview(request, signal));
  }

  explainText({ text }: featurization.ExplainTextRequest): featurization.ExplainTextResponse {
    return this.featureSets.explain(text);
  }
}
