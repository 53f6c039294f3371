import { NotFound } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { created, note } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

/** What the server answers where only a test can say it. */
export const answers = {
  importStudy: async (
    _request: tuning.ImportStudyRequest,
    _experiment: tuning.Experiment,
  ): Promise<tuning.ImportStudyResponse> => ({ fitting: 0, taught: 0, enqueued: [], known: [], misfits: [] }),
  async *readTrialLog(request: tuning.ReadTrialLogRequest): AsyncGenerator<tuning.TrialLogPiece> {
    const { number, attempt, follow } = request;
    if (number === 7) throw new NotFound('expected a trial of first, got number 7');
    if (number === 8) return;
    if (number === 9) {
      const steering = '\x1b]0;owned\x07\x9b2J\u202egpj';
      const data = Buffer.from(`raw ${steering}\n${JSON.stringify({ time: '', message: steering })}\n`);
      yield { attempt: 1, offset: 0, data };
      return;
    }
    const piece = (attempt: number, offset: number, text: string) => ({
      attempt,
      offset,
      data: Buffer.from(text),
    });
    const entry = {
      time: '2026-01-02T03:04:05.678Z',
      level: 'error',
      service: 'trainer',
      message: 'training failed',
    };
    const cause = { name: 'Error', message: 'no room', stack: 'Error: no room\n    at b.js:1' };
    const error = { name: 'Full', message: 'no more', stack: 'Full: no more\n    at a.js:1', cause };
    const emoji = Buffer.from('ends 🙂\nlast');
    if (attempt < 2) {
      yield piece(1, 0, `${JSON.stringify({ ...entry, step: 3, error })}\n{"time": br`);
      yield piece(1, 300_000, 'oken\n');
    }
    if (attempt === 1 && !follow) return;
    yield { attempt: 2, offset: 0, data: emoji.subarray(0, 7) };
    yield { attempt: 2, offset: 7, data: emoji.subarray(7) };
  },
};
/** Streams of experiments that are being sent. */
export let watched = 0;

function experiment(name: string, changes: Partial<tuning.Experiment> = {}): tuning.Experiment {
  return {
    name,
    spec: {
      name,
      features: 'first',
      model: name,
      seed: 1,
      baseModels: [{ architecture: 'opt', model: 'emotune-opt-4m' }],
      parameters: [
        { name: 'learningRate', double: { min: 1e-5, max: 1e-2, log: true, step: 0 } },
        { name: 'replay', double: { min: 0, max: 0.5, log: false, step: 0 } },
      ],
    },
    state: tuning.ExperimentState.EXPERIMENT_STATE_RUNNING,
    reason: '',
    trialsSucceeded: 0,
    trialsRunning: 1,
    trialsFailed: 0,
    trialsTotal: 2,
    createTime: created,
    ...changes,
  } as unknown as tuning.Experiment;
}

function trial(changes: Partial<tuning.Trial> = {}): tuning.Trial {
  return {
    experiment: 'first',
    number: 0,
    kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
    state: tuning.TrialState.TRIAL_STATE_RUNNING,
    reason: '',
    parameters: { architecture: 'opt', learningRate: 0.00123456 },
    attempt: 1,
    totalTokens: 100_000,
    createTime: created,
    ...changes,
  } as tuning.Trial;
}

export const won = trial({
  state: tuning.TrialState.TRIAL_STATE_SUCCEEDED,
  objective: 2.5,
  objectiveError: 0.125,
  tokens: 100_000,
  tokensPerSecond: 1234.5,
});

const ends: Record<string, Partial<tuning.Experiment>> = {
  first: {
    state: tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED,
    trialsSucceeded: 1,
    trialsFailed: 1,
    trialsRunning: 0,
    bestObjective: 2.5,
    bestTrial: 0,
    modelVersion: 'first@aa11',
  },
  hopeless: { state: tuning.ExperimentState.EXPERIMENT_STATE_FAILED, reason: 'more than 1 trial failed' },
};

@Controller()
@tuning.ExperimentServiceControllerMethods()
export class Experiments implements tuning.ExperimentServiceController {
  private found(name: string): tuning.Experiment {
    if (name === 'missing') throw new NotFound('expected an experiment, got "missing"');
    return experiment(name);
  }
  createExperiment(request: tuning.CreateExperimentRequest): tuning.Experiment {
    return experiment(note('createExperiment', request).spec!.name, {
      state: tuning.ExperimentState.EXPERIMENT_STATE_WAITING,
    });
  }
  getExperiment({ name }: tuning.GetExperimentRequest): tuning.Experiment {
    return this.found(name);
  }
  listExperiments(): tuning.ListExperimentsResponse {
    return { experiments: [experiment('first', ends['first'])], nextPageToken: '' };
  }
  watchExperiment(
    { name }: tuning.WatchExperimentRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ExperimentUpdate> {
    this.found(name);
    const settled = [
      won,
      trial({ number: 1, state: tuning.TrialState.TRIAL_STATE_FAILED, reason: 'Diverged: not finite' }),
    ];
    return streamOf(call!, async function* (signal) {
      watched++;
      try {
        yield { experiment: experiment(name), trials: [trial()] };
        if (name === 'endless') await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { experiment: experiment(name), trials: [trial({ tokens: 4096, tokensPerSecond: 1200 })] };
        yield { experiment: experiment(name), trials: settled };
        yield { experiment: experiment(name, ends[name]), trials: [] };
      } finally {
        watched--;
      }
    });
  }
  readTrialLog(
    request: tuning.ReadTrialLogRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.TrialLogPiece> {
    this.found(request.experiment);
    return streamOf(call!, () => answers.readTrialLog(note('readTrialLog', request)));
  }
  pauseExperiment({ name }: tuning.PauseExperimentRequest): tuning.Experiment {
    return { ...this.found(name), state: tuning.ExperimentState.EXPERIMENT_STATE_PAUSED };
  }
  resumeExperiment({ name }: tuning.ResumeExperimentRequest): tuning.Experiment {
    return this.found(name);
  }
  cancelExperiment({ name }: tuning.CancelExperimentRequest): tuning.Experiment {
    return { ...this.found(name), state: tuning.ExperimentState.EXPERIMENT_STATE_CANCELLED };
  }
  deleteExperiment({ name }: tuning.DeleteExperimentRequest): tuning.DeleteExperimentResponse {
    note('deleteExperiment', this.found(name));
    return {};
  }
  enqueueTrial(request: tuning.EnqueueTrialRequest): tuning.EnqueueTrialResponse {
    const { parameters } = note('enqueueTrial', request);
    const added = parameters['learningRate'] !== 1e-3;
    return { trial: trial({ number: 7, state: tuning.TrialState.TRIAL_STATE_QUEUED, parameters }), added };
  }
  listTrials(request: tuning.ListTrialsRequest): tuning.ListTrialsResponse {
    note('listTrials', request);
    return { trials: [won], nextPageToken: '' };
  }
  importStudy(
    requests: Parameters<tuning.ExperimentServiceController['importStudy']>[0],
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ImportStudyResponse> {
    return streamOf(call!, async function* (signal) {
      const pieces: tuning.ImportStudyRequest[] = [];
      for await (const piece of requestsOf(requests, call!, signal)) pieces.push(piece);
      const [request] = pieces;
      const trials = pieces.flatMap(({ study }) => study?.trials ?? []);
      const whole = { ...request, study: { ...request.study!, trials } };
      note('importStudyPieces', pieces.length);
      yield await answers.importStudy(note('importStudy', whole), experiment(request.experiment));
    });
  }
  raiseLimits(request: tuning.RaiseLimitsRequest): tuning.Experiment {
    return experiment(note('raiseLimits', request).name);
  }
  estimateExperiment(request: tuning.EstimateExperimentRequest): tuning.Estimate {
    note('estimateExperiment', request);
    return {
      trials: 8,
      folds: 5,
      tokens: 240_000,
      gpuHours: 1.5,
      cost: 3,
      seconds: 2700,
      finalGpuHours: 0.25,
      finalCost: 0.5,
      basis: tuning.EstimateBasis.ESTIMATE_BASIS_MEASURED,
      measuredTrials: 4,
      limitedBy: 'limits.maxTrials',
      tokensPerSecond: { opt: 44 },
    };
  }
  listOptimalTrials(): tuning.ListOptimalTrialsResponse {
    return { trials: [won] };
  }
}
