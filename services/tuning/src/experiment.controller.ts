import { tuning } from '@emotune/proto';
import { leavingOf, requestsOf, type ServerCall, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Inject } from '@nestjs/common';
import { from, type Observable } from 'rxjs';
import { Experiments } from './experiments.js';
import { wholeStudy } from './imported.js';
import { TrialLogs } from './trial-logs.js';

@Controller()
@tuning.ExperimentServiceControllerMethods()
export class ExperimentController implements tuning.ExperimentServiceController {
  constructor(
    @Inject(Experiments) private readonly experiments: Experiments,
    @Inject(TrialLogs) private readonly logs: TrialLogs,
  ) {}

  createExperiment(request: tuning.CreateExperimentRequest): Promise<tuning.Experiment> {
    return this.experiments.create(request);
  }

  getExperiment({ name }: tuning.GetExperimentRequest): Promise<tuning.Experiment> {
    return this.experiments.get(name);
  }

  listExperiments(request: tuning.ListExperimentsRequest): Promise<tuning.ListExperimentsResponse> {
    return this.experiments.list(request);
  }

  watchExperiment(
    { name }: tuning.WatchExperimentRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<tuning.ExperimentUpdate> {
    return streamOf(call!, (signal) => this.experiments.watch(name, signal));
  }

  pauseExperiment({ name }: tuning.PauseExperimentRequest): Promise<tuning.Experiment> {
    return this.experiments.pause(name);
  }

  resumeExperiment({ name }: tuning.ResumeExperimentRequest): Promise<tuning.Experiment> {
    return this.experiments.resume(name);
  }

  cancelExperiment({ name }: tuning.CancelExperimentRequest): Promise<tuning.Experiment> {
    return this.experiments.cancel(name);
  }

  async deleteExperiment({ name }: tuning.DeleteExperimentRequest): Promise<tuning.DeleteExperimentResponse> {
    await this.experiments.delete(name);
    return {};
  }

  enqueueTrial(request: tuning.EnqueueTrialRequest): Promise<tuning.EnqueueTrialResponse> {
    return this.experiments.enqueue(request);
  }

  raiseLimits(request: tuning.RaiseLimitsRequest): Promise<tuning.Experiment> {
    return this.experiments.raise(request);
  }

  estimateExperiment(request: tuning.EstimateExperimentRequest): Promise<tuning.Estimate> {
    return this.experiments.estimate(request);
  }

  importStudy(
    requests: Observable<tuning.ImportStudyRequest>,
    _metadata?: unknown,
    call?: ServerStreamCall & ServerCall,
  ): Observable<tuning.ImportStudyResponse> {
    const signal = leavingOf(call!);
    // Nest holds requests back until a promise has resolved.
    return from(
      wholeStudy(requestsOf(requests, call!, signal), signal).then((whole) =>
        this.experiments.importStudy(whole),
      ),
    );
  }

  listTrials(request: tuning.ListTrialsRequest): Promise<tuning.ListTrialsResponse> {
    return this.experiments.trials(request);
  }

  readTrialLog(
    request: tuning.ReadTrialLogRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<tuning.TrialLogPiece> {
    return streamOf(call!, (signal) => this.logs.read(request, signal));
  }

  listOptimalTrials({
    experiment,
  }: tuning.ListOptimalTrialsRequest): Promise<tuning.ListOptimalTrialsResponse> {
    return this.experiments.optimalTrials(experiment);
  }
}
