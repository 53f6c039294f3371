/** Asks models about texts. */
import { nativeOf, type Question, type Teaching } from '@emotune/affect';
import type { Answer, Answerer } from '@emotune/answering';
import { FailedPrecondition } from '@emotune/base';
import { codecOf, Encoded, type inference, messageType, type tuning } from '@emotune/proto';
import { skillMessage, taskMessage, teachingOfModel } from '@emotune/service';
import { Admission, type Admitted } from './admission.js';
import { type InferenceContext, LoadedModels } from './loaded-models.js';
import { ModelLookup } from './model-lookup.js';
import { type Asked, parseBatch, parseRequest } from './requests.js';
import { trustIn } from './trust.js';

export interface Asker {
  /** Callers take turns. */
  readonly caller: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Characters of the texts that wait for their answers. */
const waitingCharacters = 64 * 1024 * 1024;

const analysisCodec = codecOf<inference.Analysis>(messageType('emotune.inference.v1.Analysis'));

/** Tokens of a question's instruction and answers, of a prompt at most, and characters of a token, about. */
const workOf = ({ text, count }: Asked) => count * Math.min(512, 64 + text.length / 4);

/** An answer on the question's own scale. */
function answerMessage(
  question: Question,
  answer: Answer,
  { teaching, language }: { readonly teaching: Teaching | undefined; readonly language: string },
): inference.Answer {
  const { task, emotion, scale, calibration } = question;
  const { trained, skill, warnings } = trustIn(question, teaching, language);
  const common = {
    task: taskMessage(task),
    emotion: emotion ?? '',
    scale: scale ?? undefined,
    cut: answer.cut,
    calibrated: (scale === null ? calibration?.labels : calibration?.numbers) != null,
    within: [...answer.within],
    trained,
    skill: skillMessage(skill),
    warnings: [...warnings],
  };
  if (scale === null) {
    const distribution = answer.marginals.map(({ label, probability }) => ({ answer: label, probability }));
    return { ...common, labels: [...answer.labels], confidence: answer.confidence!, distribution };
  }
  const native = (value: number) => nativeOf(scale, value);
  return {
    ...common,
    value: native(answer.value!),
    low: Math.min(native(answer.low!), native(answer.high!)),
    high: Math.max(native(answer.low!), native(answer.high!)),
    labels: [],
    distribution: answer.distribution.map(({ answer: number, probability }) => ({
      answer: number,
      probability,
    })),
  };
}

/** Requests of a call that one model answers. */
interface Part {
  readonly model: tuning.Model;
  /** Where they stand in the call. */
  readonly members: readonly number[];
  readonly admitted: Admitted;
}

export class Analyses {
  private readonly models: LoadedModels;
  private readonly lookup: ModelLookup;
  private readonly admission: Admission;

  constructor(context: InferenceContext) {
    const { channel, waitSeconds = 30 } = context;
    this.models = new LoadedModels(context);
    const models = channel.client<tuning.ModelServiceClient>('ModelService');
    this.lookup = new ModelLookup((name) => models.call('getModel', { name }));
    this.admission = new Admission(
      { waitSeconds, characters: waitingCharacters },
      () => performance.now() / 1000,
    );
  }

  async analyze(request: inference.AnalyzeRequest, asker: Asker): Promise<inference.Analysis> {
    const [analysis] = await this.ask([parseRequest(request)], asker, (made) => made);
    return analysis;
  }

  /** The AnalyzeBatchResponse. */
  async analyzeBatch(requests: readonly inference.AnalyzeRequest[], asker: Asker): Promise<Encoded> {
    return Encoded.list(1, await this.ask(parseBatch(requests), asker, analysisCodec.encode));
  }

  /** Ends with the error of the first request that cannot be answered, after the answers before it. */
  async *analyzeStream(
    requests: AsyncIterable<inference.AnalyzeRequest>,
    asker: Asker,
  ): AsyncGenerator<inference.Analysis> {
    for await (const request of requests) yield await this.analyze(request, asker);
  }

  /** Where the model of that name lies now: another may have been promoted since the last call. */
  private async resolve(name: string): Promise<tuning.Model> {
    const model = await this.lookup.find(name);
    if (model.prefix === '')
      throw new FailedPrecondition(`the model ${model.name} has no files yet; try again later`);
    return model;
  }

  /** What `made` makes of each analysis as soon as there is one, in the order of the requests. */
  private async ask<T>(
    requests: readonly Asked[],
    asker: Asker,
    made: (analysis: inference.Analysis) => T,
  ): Promise<T[]> {
    const names = [...new Set(requests.map(({ model }) => model))];
    const models = await Promise.all(names.map((name) => this.resolve(name)));
    asker.signal.throwIfAborted();
    const parts: Part[] = [];
    try {
      for (const [n, model] of models.entries()) {
        const members = [...requests.keys()].filter((i) => requests[i].model === names[n]);
        const sumOf = (count: (request: Asked) => number) =>
          members.reduce((sum, i) => sum + count(requests[i]), 0);
        const admitted = this.admission.enter({
          model: model.prefix,
          caller: asker.caller,
          work: sumOf(workOf),
          characters: sumOf(({ text }) => text.length),
        });
        parts.push({ model, members, admitted });
      }
      const results = new Array<T>(requests.length);
      for (const part of parts)
        await this.answer(part, requests, asker, (i, analysis) => {
          results[i] = made(analysis);
        });
      return results;
    } finally {
      for (const { admitted } of parts) admitted.leave();
    }
  }

  private async answer(
    { model, members, admitted }: Part,
    requests: readonly Asked[],
    asker: Asker,
    answered: (i: number, analysis: inference.Analysis) => void,
  ): Promise<void> {
    const teaching = teachingOfModel(model);
    /** Those of which questions have been taken and answers are to come. */
    const open: ({ readonly i: number; readonly answers: inference.Answer[] } & ReturnType<Asked['ask']>)[] =
      [];
    function* questions({ lexicons }: Answerer) {
      for (const i of members) {
        const asked = requests[i].ask(teaching, lexicons);
        open.push({ i, answers: [], ...asked });
        yield* asked.questions;
      }
    }
    await this.models.use(model, async (answerer) => {
      admitted.begin();
      for await (const answer of answerer.answers(questions(answerer), asker)) {
        const [{ i, answers, questions: own, cues }] = open;
        const { text, language } = requests[i];
        answers.push(answerMessage(own[answers.length], answer, { teaching, language }));
        if (answers.length < own.length) continue;
        answered(i, { text, model: `${model.name}@${model.version}`, answers, cues: [...cues] });
        admitted.done(workOf(requests[i]));
        open.shift();
      }
    });
  }

  /** Called by Nest when the server has stopped. */
  async onApplicationShutdown(): Promise<void> {
    await this.models.close();
  }
}
