/**
 * Keeps experiments.emotune.io and the service's experiments at one: each experiment that goes on has its object, an object that
 * is applied becomes an experiment, one that is deleted cancels its own. Of the service's processes one does it at a time. Only a
 * deletion that it has seen cancels: an object that is not there may have been lost with its cluster, so it is made again.
 */
import {
  AlreadyExists,
  aborted,
  EmotuneError,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  policyOf,
} from '@emotune/base';
import { lead } from '@emotune/database';
import { ApiError, type ClusterPlace, Mirror } from '@emotune/jobs/kubernetes';
import { codecOf, messageType, type tuning } from '@emotune/proto';
import { Outages, receivedAs, Worker } from '@emotune/service';
import { specOf } from '@emotune/service/spec';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { TuningContext } from './context.js';
import {
  type ExperimentObject,
  group,
  isAccepted,
  isSettled,
  type ObjectStatus,
  objectAction,
  objectOf,
  refusedStatus,
  saysTheSame,
  statusOf,
  version,
} from './experiment-object.js';
import type { Experiments } from './experiments.js';

/** How often is looked for what has changed in the service. */
const lookMs = 2_000;
/** A refused one is tried again after this: what it lacked may have come. */
const againMs = 30_000;
/** Objects of experiments that have ended are looked at in one round of so many: the service may have deleted them. */
const settledRounds = 30;
const mostRequestBytes = 2 ** 20;
const name = 'experiment objects';

const createRequest = 'emotune.tuning.v1.CreateExperimentRequest';

/** What is wrong, in one line for each. */
function wordsOf(error: EmotuneError): string {
  return error instanceof InvalidArgument
    ? error.violations.map(({ field, description }) => `${field}: ${description}`).join('\n')
    : error.message;
}

/** The request that an object stands for, checked as one that comes over gRPC. @throws InvalidArgument with paths in the object */
function requestOf({ metadata, spec }: ExperimentObject): tuning.CreateExperimentRequest {
  const written = specOf({ ...spec, name: metadata.name }, 'emotune.tuning.v1.ExperimentSpec', 'spec');
  const type = messageType(createRequest);
  const bytes = codecOf<object>(type).encode({ spec: written, requestId: '' });
  return receivedAs(type, mostRequestBytes)(Buffer.from(bytes)) as tuning.CreateExperimentRequest;
}

/** Paths as they stand in the object: below spec. */
function inObject(error: unknown): unknown {
  if (!(error instanceof InvalidArgument)) return error;
  const violations = error.violations.map(({ field, description }) => ({
    field: field === 'spec' || field.startsWith('spec.') ? field : `spec.${field}`,
    description,
  }));
  return new InvalidArgument(violations, { cause: error });
}

export class ExperimentObjects implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly path: string;
  private readonly closing = new AbortController();
  private readonly outages: Outages;
  private led: Promise<void> | undefined;
  private rounds = 0;
  /** By name. */
  private readonly objects = new Map<string, ExperimentObject>();
  /** By name, objects of experiments that were deleted, until that is acted on. */
  private readonly deleted = new Map<string, ExperimentObject>();
  /** When a refused object may be tried again, with the generation that was refused. */
  private readonly refused = new Map<string, { readonly generation: number; readonly at: number }>();

  constructor(
    private readonly context: TuningContext,
    private readonly experiments: Experiments,
    private readonly place: ClusterPlace,
  ) {
    this.path = `/apis/${group}/${version}/namespaces/${place.namespace}/experiments`;
    this.outages = new Outages(context.log);
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, clock, election } = this.context;
    const { signal } = this.closing;
    this.led = lead(database, name, { clock, signal, election }, ({ signal }) => this.keep(signal));
  }

  async onApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await this.led;
  }

  /** While this process leads. */
  private async keep(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.context;
    this.objects.clear();
    this.deleted.clear();
    let listed = false;
    const worker = new Worker((signal) => (listed ? this.round(signal) : Promise.resolve(false)), {
      ...{ name, clock, log },
      everyMs: lookMs,
    });
    const mirror = new Mirror<ExperimentObject>({
      api: this.place.api,
      clock,
      path: this.path,
      selector: '',
      onObject: (object) => {
        this.objects.set(object.metadata.name, object);
        worker.wake();
      },
      onGone: (object) => {
        const { name } = object.metadata;
        if (this.knows(object)) {
          this.objects.delete(name);
          if (isAccepted(object)) this.deleted.set(name, object);
        }
        this.refused.delete(name);
        worker.wake();
      },
      onListed: () => {
        listed = true;
        this.outages.over('looking for experiments.emotune.io');
        worker.wake();
      },
      onFailure: (error) => this.outages.failed('looking for experiments.emotune.io', error),
    });
    worker.start();
    await Promise.all([mirror.run(signal), aborted(signal)]);
    await worker.close();
  }

  /** Never busy: what it cannot do now waits for something outside. */
  private async round(signal: AbortSignal): Promise<boolean> {
    const all = this.rounds++ % settledRounds === 0;
    const names = [...this.objects.values()]
      .filter((object) => all || !isSettled(object))
      .map(({ metadata }) => metadata.name)
      .concat(...this.deleted.keys());
    const known = await this.experiments.openOrNamed(names);
    const byName = new Map(known.map((experiment) => [experiment.name, experiment]));
    for (const each of new Set([...byName.keys(), ...names])) {
      if (signal.aborted) return false;
      const what = 'keeping the object of an experiment';
      try {
        const deleted = this.deleted.get(each);
        await this.act(each, byName.get(each), deleted);
        if (this.deleted.get(each) === deleted) this.deleted.delete(each);
        this.outages.over(what, { experiment: each });
      } catch (error) {
        if (signal.aborted) return false;
        // Somebody was faster: what there is now is on its way.
        if (error instanceof ApiError && (error.code === 409 || error.code === 404)) continue;
        this.outages.failed(what, error, { experiment: each });
      }
    }
    return false;
  }

  private async act(
    experimentName: string,
    experiment: tuning.Experiment | undefined,
    deleted: ExperimentObject | undefined,
  ): Promise<void> {
    const object = this.objects.get(experimentName);
    const action = objectAction(experiment, object, deleted);
    if (action === 'nothing') return;
    if (action === 'mirror') return this.mirror(experiment!);
    switch (action) {
      case 'submit':
        return this.submit(object!);
      case 'raise':
        return this.raise(object!, experiment!);
      case 'tell':
        return this.tell(object!, statusOf(object!, experiment!, this.now()));
      case 'cancel':
        await this.experiments.cancel(experimentName);
        return;
      case 'remove':
        await this.place.api.json('DELETE', `${this.path}/${experimentName}`, {
          body: { preconditions: { uid: object!.metadata.uid } },
        });
        // Nobody asked for this one to be cancelled.
        if (this.knows(object!)) this.objects.delete(experimentName);
    }
  }

  /** Whether it is the object of that name that was seen last. */
  private knows({ metadata: { name, uid } }: ExperimentObject): boolean {
    return this.objects.get(name)?.metadata.uid === uid;
  }

  private now(): string {
    return new Date(Math.floor(this.context.clock.now() / 1000) * 1000).toISOString().replace('.000Z', 'Z');
  }

  private async mirror(experiment: tuning.Experiment): Promise<void> {
    const made = await this.place.api.json<ExperimentObject>('POST', this.path, {
      body: objectOf(experiment),
    });
    this.objects.set(experiment.name, made);
    await this.tell(made, statusOf(made, experiment, this.now()));
  }

  private async tell(object: ExperimentObject, status: ObjectStatus): Promise<void> {
    if (saysTheSame(object, status)) return;
    const { name, uid } = object.metadata;
    const told = await this.place.api.json<ExperimentObject>('PATCH', `${this.path}/${name}/status`, {
      body: { metadata: { uid }, status },
    });
    // It may have gone meanwhile.
    if (this.knows(told)) this.objects.set(name, told);
  }

  private async submit(object: ExperimentObject): Promise<void> {
    const { name, generation = 0 } = object.metadata;
    const before = this.refused.get(name);
    const now = this.context.clock.now();
    if (before?.generation === generation && now < before.at) return;
    try {
      const experiment = await this.experiments.create(requestOf(object));
      this.refused.delete(name);
      await this.tell(object, statusOf(object, experiment, this.now()));
    } catch (thrown) {
      const error = inObject(thrown);
      if (!(error instanceof EmotuneError) || policyOf(error).retryable) throw error;
      this.refused.set(name, { generation, at: now + againMs });
      const reason = error instanceof AlreadyExists ? 'NameTaken' : 'InvalidSpec';
      await this.tell(object, refusedStatus(object, { reason, message: wordsOf(error) }, this.now()));
    }
  }

  /** The spec has changed, in which limits alone can. */
  private async raise(object: ExperimentObject, experiment: tuning.Experiment): Promise<void> {
    let note = { reason: 'Accepted', message: '' };
    let raised = experiment;
    try {
      const asked = requestOf(object).spec?.limits ?? {};
      const present: Partial<tuning.Limits> = experiment.spec?.limits ?? {};
      const limits = Object.fromEntries(
        Object.entries(asked).map(([limit, value]) => [
          limit,
          value === present[limit as keyof tuning.Limits] ? 0 : value,
        ]),
      );
      if (Object.values(limits).some((value) => value !== 0))
        raised = await this.experiments.raise({ name: experiment.name, limits: limits as never });
    } catch (thrown) {
      const error = inObject(thrown);
      if (error instanceof NotFound) return;
      if (!(error instanceof InvalidArgument || error instanceof FailedPrecondition)) throw error;
      note = { reason: 'ChangeRefused', message: wordsOf(error) };
    }
    await this.tell(object, statusOf(object, raised, this.now(), note));
  }
}
