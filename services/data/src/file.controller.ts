import { files } from '@emotune/proto';
import { requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import { from, type Observable } from 'rxjs';
import { Files } from './files.js';

@Controller()
@files.FileServiceControllerMethods()
export class FileController implements files.FileServiceController {
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

  download(
    request: files.DownloadRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<files.DownloadResponse> {
    return streamOf(call!, (signal) => this.files.download(request, signal));
  }
}
