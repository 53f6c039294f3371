import { type DynamicModule, Module } from '@nestjs/common';
import type { TuningContext } from './context.js';
import { ExperimentController } from './experiment.controller.js';
import { Experiments } from './experiments.js';
import { Fitting } from './fitting.js';
import { InsightController } from './insight.controller.js';
import { Insights } from './insight.js';
import { tellTrials } from './metrics.js';
import { ModelController } from './model.controller.js';
import { Models } from './models.js';
import { Reconciler } from './reconciler.js';
import { ReportQueue } from './report-queue.js';
import { suggestionsIn } from './suggestions.js';
import { TrialController } from './trial.controller.js';
import { TrialLogs } from './trial-logs.js';
import { Trials } from './trials.js';

@Module({})
class TuningServiceModule {}

/** The tuning service: experiments, their trials, and models. */
export function tuningModule(context: TuningContext): DynamicModule {
  if (context.metrics) tellTrials(context.metrics, context.database);
  const models = new Models(context);
  const logs = new TrialLogs(context);
  const reports = new ReportQueue(context.database, context.clock);
  const { threadArguments } = context;
  const reconciler = new Reconciler(
    context,
    models,
    logs,
    suggestionsIn(threadArguments),
    new Fitting(threadArguments),
    reports,
  );
  const experiments = new Experiments(context, models, reconciler);
  const keeper = context.keeper?.(context, experiments);
  return {
    module: TuningServiceModule,
    controllers: [ExperimentController, TrialController, ModelController, InsightController],
    providers: [
      { provide: Reconciler, useValue: reconciler },
      { provide: Models, useValue: models },
      { provide: Experiments, useValue: experiments },
      ...(keeper ? [{ provide: 'keeper', useValue: keeper }] : []),
      { provide: TrialLogs, useValue: logs },
      {
        provide: Insights,
        useValue: new Insights(context, reconciler.ledger, suggestionsIn(threadArguments)),
      },
      { provide: Trials, useValue: new Trials(context, reconciler, reports) },
    ],
  };
}
