/** Distillation of answers: training on rows with what a teacher holds of every candidate, mixed with what people answered. */
import { parse } from '@emotune/base';
import { withCandidates } from './candidate-rows.js';
import type { TrainingSettings } from './settings.js';
import { trainSpec, trainSpecOf } from './spec.js';
import type { Distillation } from './teacher-answers.js';
import { type Training, type TrainResult, train } from './train.js';

export interface Distilling extends Omit<Training, 'spec'> {
  readonly settings: TrainingSettings;
  readonly distillation: Distillation;
  /** Subtasks of the rows, in the order of the curriculum. */
  readonly tasks: readonly string[];
  /** Times that the rows are trained on, in place of the settings' tokens; the trie of a row's candidates counts as its tokens. */
  readonly epochs?: number | undefined;
}

/**
 * Trains a student, or goes on from its newest checkpoint. The objective is the mean over held-out rows of their loss less the
 * entropy of the teacher, nats: 0 for a student that answers as the teacher does.
 * @throws as `train`; InvalidArgument where settings ask for another loss of answers.
 */
export async function distill({
  settings,
  distillation,
  tasks,
  epochs,
  ...training
}: Distilling): Promise<TrainResult> {
  const taught = ({ teacher }: { teacher?: { choices: { candidates: readonly Int32Array[] } } }) =>
    teacher?.choices.candidates;
  const [lengths, held] = [training.rows.train, training.rows.validation].map((rows) =>
    withCandidates(rows, taught).map(({ tokens }) => tokens.length),
  );
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const tokens = epochs === undefined ? settings.tokens : Math.max(1, Math.round(epochs * sum(lengths)));
  const spec = trainSpecOf(
    { ...settings, tokens },
    { tasks, validationTokens: sum(held), longest: lengths.reduce((most, n) => Math.max(most, n), 0) },
  );
  return train({ ...training, spec: parse(trainSpec, { ...spec, distillation }) });
}
