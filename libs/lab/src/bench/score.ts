/**
 * Answers by likelihood, against one forward pass over each prompt: labels after random prompts, and questions of each
 * task where the model has a tokenizer.
 */
import { basename, join } from 'node:path';
import { candidatesOf, defaultQuestion, explain, questionTokens, type Task, tasks } from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { exists, Rng } from '@emotune/base';
import { OnnxExecutor } from '@emotune/engine';
import { type InferenceCompute, type ScoreRequest, Scorer } from '@emotune/models';
import { modelOfShape } from './model-folder.js';
import { syntheticTexts } from './texts.js';
import { median, medianSeconds } from './timing.js';

export interface ScoreWorkload {
  /** Checkpoint folder, or one with config.json alone. */
  readonly folder: string;
  /** Questions of each task, and as many random prompts. */
  readonly questions: number;
  /** Tokens of a random prompt. */
  readonly prompt: number;
  /** Scored after each random prompt: one to three tokens and one that ends them. */
  readonly labels: number;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  readonly signal: AbortSignal;
}

interface TaskFigures {
  readonly task: Task;
  /** Answers that a question allows. */
  readonly candidates: number;
  /** Median. */
  readonly promptTokens: number;
  readonly questionsPerSecond: number;
  /** Forward passes over the same prompts that score one token each. */
  readonly passesPerSecond: number;
}

interface LabelFigures {
  readonly labels: number;
  readonly promptTokens: number;
  readonly questionsPerSecond: number;
  /** As of a task. */
  readonly passesPerSecond: number;
}

export interface ScoreFigures {
  readonly model: string;
  readonly questions: number;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  readonly labels: LabelFigures;
  /** None without a tokenizer. */
  readonly tasks: readonly TaskFigures[];
}

const maxTokens = 512;

function randomRequests({ questions, prompt, labels }: ScoreWorkload, vocabSize: number): ScoreRequest[] {
  const rng = Rng.of(1, 'bench score');
  const draw = (length: number) => Int32Array.from({ length }, () => rng.int(vocabSize));
  const candidates = Array.from({ length: labels }, (_, i) => draw(2 + (i % 3)));
  return Array.from({ length: questions }, () => ({ prompt: draw(prompt), candidates }));
}

/** One token scored after each prompt. */
const passOver = (prompts: readonly Int32Array[]): ScoreRequest[] =>
  prompts.map((prompt) => ({ prompt, candidates: [prompt.subarray(0, 1)] }));

/** @throws as `modelOfShape` and `Answerer.open`. */
export async function benchScore(workload: ScoreWorkload): Promise<ScoreFigures> {
  const { folder, questions: count, baseCompute, threads, signal } = workload;
  const model = await modelOfShape(folder);
  const scorer = await Scorer.create(model, OnnxExecutor.create, { threads, baseCompute });
  try {
    const requests = randomRequests(workload, model.config.vocabSize);
    const passes = passOver(requests.map(({ prompt }) => prompt));
    const labels = {
      labels: workload.labels,
      promptTokens: workload.prompt,
      questionsPerSecond: count / (await medianSeconds(() => scorer.score(requests), signal)),
      passesPerSecond: count / (await medianSeconds(() => scorer.score(passes), signal)),
    };
    const tasks = (await exists(join(folder, 'tokenizer.json'))) ? await taskFigures(workload, scorer) : [];
    return { model: basename(folder), questions: count, baseCompute, threads, labels, tasks };
  } finally {
    await scorer.close();
  }
}

async function taskFigures(
  { folder, questions: count, threads, signal }: ScoreWorkload,
  scorer: Scorer,
): Promise<TaskFigures[]> {
  const texts = syntheticTexts(count);
  const answerer = await Answerer.open({ folder, threads, maxTokens });
  try {
    const figures: TaskFigures[] = [];
    for (const task of tasks) {
      const questions = texts.map((text) => defaultQuestion(task, text, { cues: explain(text).cueText }));
      const prompts = questions.map((q) => questionTokens(answerer.tokenizer, q, maxTokens).tokens);
      const passes = passOver(prompts);
      figures.push({
        task,
        candidates: candidatesOf(questions[0]).length,
        promptTokens: median(prompts.map(({ length }) => length)),
        questionsPerSecond: count / (await medianSeconds(() => answerer.ask(questions), signal)),
        passesPerSecond: count / (await medianSeconds(() => scorer.score(passes), signal)),
      });
    }
    return figures;
  } finally {
    await answerer.close();
  }
}
