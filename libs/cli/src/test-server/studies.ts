import { NotFound } from '@emotune/base';
import { common, evaluation } from '@emotune/proto';
import { Controller } from '@nestjs/common';
import { created, note } from './shared.js';

const { Task } = common;
const { Preference, StudyState } = evaluation;

const study = (name: string, state: evaluation.StudyState): evaluation.Study =>
  ({
    name,
    spec: { licence: 'CC-BY-4.0' },
    state,
    question: {
      question: 'How does it feel?',
      task: Task.TASK_SENTIMENT_REGRESSION,
      scale: { low: -4, high: 4 },
      values: [-4, -2, 0, 2, 4],
    },
    items: 12,
    attentionChecks: 2,
    judgements: 17,
    raters: [
      { name: 'ada', invited: true, consented: true, judgements: 12 },
      { name: 'rater-2', invited: false, consented: true, judgements: 5 },
    ],
    notices: ['the sample has 12 items, where 50 were asked: all are judged'],
    createTime: created,
  }) as unknown as evaluation.Study;

const judged = (item: number, text: string, answer: Partial<evaluation.StudyAnswer>) =>
  ({
    ...{ item, example: `e/${item}`, text, emotion: '', rater: 'ada', seconds: 2.25, judgeTime: created },
    ...{ check: item === 2, passed: false, revisions: 0 },
    answer: { labels: [], preference: Preference.PREFERENCE_UNSPECIFIED, ...answer },
  }) as evaluation.Judgement;

@Controller()
@evaluation.StudyServiceControllerMethods()
export class Studies implements evaluation.StudyServiceController {
  createStudy(request: evaluation.CreateStudyRequest): evaluation.Study {
    note('createStudy', request);
    return study(request.spec!.name, StudyState.STUDY_STATE_DRAFT);
  }
  getStudy({ name }: evaluation.GetStudyRequest): evaluation.Study {
    if (name === 'missing') throw new NotFound('expected a study, got "missing"');
    return study(name, StudyState.STUDY_STATE_OPEN);
  }
  listStudies(): evaluation.ListStudiesResponse {
    return { studies: [study('by-hand', StudyState.STUDY_STATE_CLOSED)], nextPageToken: '' };
  }
  openStudy({ name }: evaluation.OpenStudyRequest): evaluation.OpenStudyResponse {
    const links = [
      { rater: 'ada', token: 'a.b', url: 'http://127.0.0.1:50052/studies/join/a.b' },
      { rater: '', token: 'c.d', url: '' },
    ];
    return { study: study(name, StudyState.STUDY_STATE_OPEN), links, notice: 'the page is served elsewhere' };
  }
  closeStudy({ name }: evaluation.CloseStudyRequest): evaluation.Study {
    return study(name, StudyState.STUDY_STATE_CLOSED);
  }
  deleteStudy(request: evaluation.DeleteStudyRequest): evaluation.DeleteStudyResponse {
    note('deleteStudy', request);
    return {};
  }
  getStudyReport(request: evaluation.GetStudyReportRequest): evaluation.StudyReport {
    const { name, excludeFailed } = note('getStudyReport', request);
    return {
      name,
      items: 12,
      judgements: 17,
      failedRaters: 1,
      excludedRaters: excludeFailed ? 1 : 0,
      excludedJudgements: excludeFailed ? 5 : 0,
      agreement: [
        {
          ...{ label: '', items: 5, judgements: 10, nominal: 0.25, ordinal: 0.5, interval: 0.625 },
          confidence: { low: 0.5, high: 0.75 },
        },
      ],
      raters: [
        {
          ...{ name: 'ada', judgements: 12, checks: 2, checksPassed: 1, failed: true },
          ...{ agreement: 0.75, agreementItems: 5, medianSeconds: 2.5 },
        },
      ],
      model: { metric: 'pearson', model: 0.5, raters: 0.75, n: 2, panel: 0.625, panelItems: 12 },
      preferences: {
        ...{ first: 3, second: 1, both: 1, neither: 0, itemsFirst: 2, itemsSecond: 1, itemsDrawn: 1 },
        ...{ winRate: 2 / 3, confidence: { low: 0.2, high: 0.94 }, pValue: 1 },
        ...{ firstModel: 'a@1', secondModel: 'b@2' },
      },
    };
  }
  listJudgements({ pageToken }: evaluation.ListJudgementsRequest): evaluation.ListJudgementsResponse {
    if (pageToken === '')
      return { judgements: [judged(1, 'a "day", well', { value: 2 })], nextPageToken: 'more' };
    return {
      judgements: [
        judged(2, 'two\nlines', { labels: ['joy', 'love'] }),
        judged(3, 'fine', { preference: Preference.PREFERENCE_BOTH }),
      ],
      nextPageToken: '',
    };
  }
  listStudyRows(request: evaluation.ListStudyRowsRequest): evaluation.ListStudyRowsResponse {
    const { study: name } = note('listStudyRows', request);
    return {
      rows: [
        {
          ...{ id: 'e/1', text: 'a day', task: Task.TASK_SENTIMENT_REGRESSION, emotion: '' },
          ...{ scale: { low: -4, high: 4 }, labels: [], multiLabel: false, value: 1.5, answer: [] },
          ...{ ratings: [1, 2], spread: 0.5, votes: {}, raters: 2, source: `study:${name}` },
          ...{ licence: 'MIT AND CC-BY-4.0', language: 'en', textSource: 'notes', textLicence: 'MIT' },
        },
      ],
      divided: 1,
      tooFew: 2,
    };
  }
}
