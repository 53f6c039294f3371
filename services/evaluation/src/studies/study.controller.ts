import { evaluation } from '@emotune/proto';
import { Controller, Inject } from '@nestjs/common';
import { Studies } from './studies.js';

@Controller()
@evaluation.StudyServiceControllerMethods()
export class StudyController implements evaluation.StudyServiceController {
  constructor(@Inject(Studies) private readonly studies: Studies) {}

  createStudy(request: evaluation.CreateStudyRequest): Promise<evaluation.Study> {
    return this.studies.create(request);
  }

  getStudy({ name }: evaluation.GetStudyRequest): Promise<evaluation.Study> {
    return this.studies.get(name);
  }

  listStudies(request: evaluation.ListStudiesRequest): Promise<evaluation.ListStudiesResponse> {
    return this.studies.list(request);
  }

  openStudy({ name }: evaluation.OpenStudyRequest): Promise<evaluation.OpenStudyResponse> {
    return this.studies.open(name);
  }

  closeStudy({ name }: evaluation.CloseStudyRequest): Promise<evaluation.Study> {
    return this.studies.close(name);
  }

  async deleteStudy({ name }: evaluation.DeleteStudyRequest): Promise<evaluation.DeleteStudyResponse> {
    await this.studies.delete(name);
    return {};
  }

  getStudyReport(request: evaluation.GetStudyReportRequest): Promise<evaluation.StudyReport> {
    return this.studies.report(request);
  }

  listJudgements(request: evaluation.ListJudgementsRequest): Promise<evaluation.ListJudgementsResponse> {
    return this.studies.judgements(request);
  }

  listStudyRows(request: evaluation.ListStudyRowsRequest): Promise<evaluation.ListStudyRowsResponse> {
    return this.studies.rows(request);
  }
}
