import { files } from '@emotune/proto';
import { Controller, type DynamicModule, Inject, Module } from '@nestjs/common';
import { from, type Observable } from 'rxjs';
import { Files, type FilesContext } from './file-service.js';
import { requestsOf, type ServerStreamCall, streamOf } from './stream.js';

@Controller()
@files.FileServiceControllerMethods()
class FileController implements files.FileServiceController {
  constructor(@Inject(Files) private readonly files: Files) {}

  getUpload(request: files.GetUploadRequest): Promise<files.UploadStatus> {
    return this.files.status(request);
  }

  upload(
    requests: Observable<files.UploadRequest>,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<files.UploadStatus> {
    // A caller that goes away ends the requests; what came is kept. Nest holds requests back until a promise has resolved.
    return from(this.files.upload(requestsOf(requests, call!, new AbortController().signal)));
  }

  listUploads(request: files.ListUploadsRequest): Promise<files.ListUploadsResponse> {
    return this.files.listUploads(request);
  }

  deleteUpload(request: files.DeleteUploadRequest): Promise<files.DeleteUploadResponse> {
    return this.files.deleteUpload(request);
  }

  collectGarbage(request: files.CollectGarbageRequest): Promise<files.CollectGarbageResponse> {
    return this.files.collectGarbage(request);
  }

  download(
    request: files.DownloadRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<files.DownloadResponse> {
    return streamOf(call!, (signal) => this.files.download(request, signal));
  }
}

@Module({})
class FilesModule {}

/** Serves files in and out of an object store. One service of a deployment hosts it. */
export function filesModule(context: FilesContext): DynamicModule {
  return {
    module: FilesModule,
    controllers: [FileController],
    providers: [{ provide: Files, useValue: new Files(context) }],
  };
}
