/** What each method of the contract asks of who calls it. The types hold the table complete: a new method has no role, and does not compile. */
import type { data, evaluation, events, featurization, files, inference, tuning } from '@emotune/proto';

/** Each may do what those before it may. */
export const roles = ['viewer', 'editor', 'admin'] as const;

export type Role = (typeof roles)[number];

/** Those who call the methods that are for them by a token of their own: a trainer's attempt has one, and a rater's link; nobody else may. */
export const guests = { trainer: 'TrialService', rater: 'RaterService' } as const;

export type Guest = keyof typeof guests;
type Needed = Role | Guest;

interface Table {
  readonly DatasetService: Record<keyof data.DatasetServiceClient, Needed>;
  readonly FileService: Record<keyof files.FileServiceClient, Needed>;
  readonly DeadLetterService: Record<keyof events.DeadLetterServiceClient, Needed>;
  readonly FeatureService: Record<keyof featurization.FeatureServiceClient, Needed>;
  readonly ExperimentService: Record<keyof tuning.ExperimentServiceClient, Needed>;
  readonly InsightService: Record<keyof tuning.InsightServiceClient, Needed>;
  readonly ModelService: Record<keyof tuning.ModelServiceClient, Needed>;
  readonly TrialService: Record<keyof tuning.TrialServiceClient, Needed>;
  readonly EvaluationService: Record<keyof evaluation.EvaluationServiceClient, Needed>;
  readonly StudyService: Record<keyof evaluation.StudyServiceClient, Needed>;
  readonly RaterService: Record<keyof evaluation.RaterServiceClient, Needed>;
  readonly AnalysisService: Record<keyof inference.AnalysisServiceClient, Needed>;
}

/** viewer reads and asks models; editor makes and steers; admin deletes, which ends what others may need. */
const neededRoles: Table = {
  DatasetService: {
    createDataset: 'editor',
    getDataset: 'viewer',
    listDatasets: 'viewer',
    previewDataset: 'viewer',
    deleteDataset: 'admin',
    listSources: 'viewer',
    listLexicons: 'viewer',
    provideLexicon: 'editor',
  },
  FileService: {
    getUpload: 'viewer',
    upload: 'editor',
    listUploads: 'viewer',
    deleteUpload: 'admin',
    download: 'viewer',
    collectGarbage: 'admin',
  },
  DeadLetterService: { listDeadLetters: 'viewer', getDeadLetter: 'viewer', replayDeadLetters: 'admin' },
  FeatureService: {
    createFeatureSet: 'editor',
    getFeatureSet: 'viewer',
    listFeatureSets: 'viewer',
    deleteFeatureSet: 'admin',
    previewFeatureSet: 'viewer',
    explainText: 'viewer',
  },
  ExperimentService: {
    createExperiment: 'editor',
    getExperiment: 'viewer',
    listExperiments: 'viewer',
    watchExperiment: 'viewer',
    pauseExperiment: 'editor',
    resumeExperiment: 'editor',
    cancelExperiment: 'editor',
    deleteExperiment: 'admin',
    enqueueTrial: 'editor',
    importStudy: 'editor',
    raiseLimits: 'editor',
    estimateExperiment: 'viewer',
    listTrials: 'viewer',
    readTrialLog: 'viewer',
    listOptimalTrials: 'viewer',
  },
  InsightService: { getInsight: 'viewer', explainTrial: 'viewer' },
  ModelService: {
    getModel: 'viewer',
    listModels: 'viewer',
    promoteModel: 'editor',
    deleteModel: 'admin',
    exportModel: 'editor',
    deleteExport: 'admin',
    importModel: 'editor',
    importHubModel: 'editor',
  },
  TrialService: { getAssignment: 'trainer', heartbeat: 'trainer', finishTrial: 'trainer' },
  EvaluationService: {
    evaluate: 'editor',
    getEvaluation: 'viewer',
    listEvaluations: 'viewer',
    watchEvaluation: 'viewer',
    compareEvaluations: 'viewer',
    deleteEvaluation: 'admin',
  },
  StudyService: {
    createStudy: 'editor',
    getStudy: 'viewer',
    listStudies: 'viewer',
    // Whoever has the links can judge.
    openStudy: 'editor',
    closeStudy: 'editor',
    deleteStudy: 'admin',
    getStudyReport: 'viewer',
    listJudgements: 'viewer',
    listStudyRows: 'viewer',
  },
  RaterService: { getInvitation: 'rater', joinStudy: 'rater', nextItem: 'rater', judge: 'rater' },
  AnalysisService: { analyze: 'viewer', analyzeBatch: 'viewer', analyzeStream: 'viewer' },
};

const byPath: ReadonlyMap<string, Needed> = new Map(
  Object.entries(neededRoles).flatMap(([service, methods]) =>
    Object.entries(methods as Record<string, Needed>).map(([method, needed]) => [
      `${service}/${method.replace(/^./, (first) => first.toUpperCase())}`,
      needed,
    ]),
  ),
);

function ofContract(path: string): Needed | undefined {
  return byPath.get(path.slice(path.lastIndexOf('.') + 1));
}

/** Of a method that the contract does not have, that of who may do all. @param path /package.Service/Method */
export function neededFor(path: string): Needed {
  if (path.startsWith('/grpc.reflection.')) return 'viewer';
  return ofContract(path) ?? 'admin';
}

/** Whether a method changes something for users: health, reflection and what no service has do not. @param path /package.Service/Method */
export function changes(path: string): boolean {
  const needed = ofContract(path);
  return needed === 'editor' || needed === 'admin';
}

/** Whether a role is enough. */
export function suffices(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}
