/** Asks models about texts. */
import type { Question } from '@emotune/affect';
import type { Answer } from '@emotune/answering';
import { FailedPrecondition } from '@emotune/base';
import type { inference, tuning } from '@emotune/proto';
import { taskMessage, teachingOfModel } from '@emotune/service';
import { type InferenceContext, LoadedModels } from './loaded-models.js';
import { type Asked, parseBatch, parseRequest } from './requests.js';

/** Texts asked together, so that other callers get their turn in between. */
const chunk = 32;

/** An answer on the question's own scale. */
function answerMessage(question: Question, answer: Answer): inference.Answer {
  const { task, emotion, scale } = question;
  const common = {
    task: taskMessage(task),
    emotion: emotion ?? '',
    scale: scale ?? undefined,
    cut: answer.cut,
  };
  if (scale === null) {
    const distribution = answer.marginals.map(({ label, probability }) => ({ answer: label, probability }));
    return { ...common, labels: [...answer.labels], distribution };
  }
  const native = (value: number) => scale.low + value * (scale.high - scale.low);
  return {
    ...common,
    value: native(answer.value!),
    low: native(answer.low!),
    high: native(answer.high!),
    labels: [],
    distribution: answer.distribution.map(({ answer: number, probability }) => ({
      answer: number,
      probability,
    })),
  };
}

export class Analyses {
  private readonly models: LoadedModels;

  constructor(private readonly context: InferenceContext) {
    this.models = new LoadedModels(context);
  }

  async analyze(request: inference.AnalyzeRequest, signal: AbortSignal): Promise<inference.Analysis> {
    const [analysis] = await this.ask([parseRequest(request)], signal);
    return analysis;
  }

  async analyzeBatch(
    requests: readonly inference.AnalyzeRequest[],
    signal: AbortSignal,
  ): Promise<inference.Analysis[]> {
    return this.ask(parseBatch(requests), signal);
  }

  /** Ends with the error of the first request that cannot be answered, after the answers before it. */
  async *analyzeStream(
    requests: AsyncIterable<inference.AnalyzeRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<inference.Analysis> {
    for await (const request of requests) yield await this.analyze(request, signal);
  }

  /** Where the model of that name lies now: another may have been promoted since the last call. */
  private async resolve(name: string, signal: AbortSignal): Promise<tuning.Model> {
    const model = await this.context.channel
      .client<tuning.ModelServiceClient>('ModelService')
      .call('getModel', { name }, { signal });
    if (model.prefix === '')
      throw new FailedPrecondition(`the model ${model.name} has no files yet; try again later`);
    return model;
  }

  private async ask(requests: readonly Asked[], signal: AbortSignal): Promise<inference.Analysis[]> {
    const analyses = new Array<inference.Analysis>(requests.length);
    for (const name of new Set(requests.map(({ model }) => model))) {
      const model = await this.resolve(name, signal);
      const members = [...requests.keys()].filter((i) => requests[i].model === name);
      const teaching = teachingOfModel(model);
      await this.models.use(model, async (answerer) => {
        for (let from = 0; from < members.length; from += chunk) {
          signal.throwIfAborted();
          const part = members.slice(from, from + chunk).map((i) => ({
            i,
            ...requests[i],
            questions: requests[i].questions(teaching),
          }));
          const questions = part.flatMap((asked) => asked.questions);
          const answers = (await answerer.ask(questions)).map((answer, n) =>
            answerMessage(questions[n], answer),
          );
          for (const { i, text, questions: own, cues: found } of part) {
            analyses[i] = {
              text,
              model: `${model.name}@${model.version}`,
              answers: answers.splice(0, own.length),
              cues: [...found],
            };
          }
        }
      });
    }
    return analyses;
  }

  /** Called by Nest when the server has stopped. */
  async onApplicationShutdown(): Promise<void> {
    await this.models.close();
  }
}
