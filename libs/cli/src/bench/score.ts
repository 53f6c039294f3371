/** Answers by likelihood: questions of each task, against one forward pass over each question's prompt. */
import { basename } from 'node:path';
import { candidatesOf, defaultQuestion, explain, questionTokens, type Task, tasks } from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { loadModel, Scorer } from '@emotune/models';
import { syntheticTexts } from './texts.js';
import { median, medianSeconds } from './timing.js';

export interface ScoreWorkload {
  /** Checkpoint folder. */
  readonly folder: string;
  /** Of each task. */
  readonly questions: number;
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

export interface ScoreFigures {
  readonly model: string;
  readonly questions: number;
  readonly threads: number;
  readonly tasks: readonly TaskFigures[];
}

const maxTokens = 512;

/** @throws as `Answerer.open`. */
export async function benchScore({
  folder,
  questions: count,
  threads,
  signal,
}: ScoreWorkload): Promise<ScoreFigures> {
  const texts = syntheticTexts(count);
  const answerer = await Answerer.open({ folder, threads, maxTokens });
  const scorer = await Scorer.create(await loadModel(folder), { threads });
  try {
    const figures: TaskFigures[] = [];
    for (const task of tasks) {
      const questions = texts.map((text) => defaultQuestion(task, text, { cues: explain(text).cueText }));
      const prompts = questions.map((q) => questionTokens(answerer.tokenizer, q, maxTokens).tokens);
      const passes = prompts.map((prompt) => ({ prompt, candidates: [prompt.subarray(0, 1)] }));
      figures.push({
        task,
        candidates: candidatesOf(questions[0]).length,
        promptTokens: median(prompts.map(({ length }) => length)),
        questionsPerSecond: count / (await medianSeconds(() => answerer.ask(questions), signal)),
        passesPerSecond: count / (await medianSeconds(() => scorer.score(passes), signal)),
      });
    }
    return { model: basename(folder), questions: count, threads, tasks: figures };
  } finally {
    await Promise.all([answerer.close(), scorer.close()]);
  }
}
