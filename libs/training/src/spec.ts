/** What one training run is: everything that decides its result, besides the base model and the rows. */
import { InvalidArgument, parse } from '@emotune/base';
import { z } from 'zod';
import { comparesNumbers, methodViolations } from './regularisers/settings.js';
import {
  curriculum,
  patience,
  plain,
  rankViolations,
  type TrainingSettings,
  usualStart,
} from './settings.js';

const stages = z
  .array(
    z
      .strictObject({
        tasks: z.array(z.string()).min(1),
        /** Tokens of rows, padding not counted. */
        tokens: z.number().int().min(1),
        replay: curriculum.replay,
        mixingTemperature: curriculum.mixingTemperature,
        competence: z
          .strictObject({
            difficulty: z.enum(['length', 'spread']).default('length'),
            /** c₀, the share of the rows, easiest first, with which the stage begins. */
            start: curriculum.competenceStart.unwrap().default(usualStart),
          })
          .optional(),
      })
      .superRefine(({ tasks, mixingTemperature }, context) => {
        if (mixingTemperature !== 1 && tasks.length === 1)
          context.addIssue({
            code: 'custom',
            path: ['mixingTemperature'],
            message: 'expected 1 in a stage of one task, where nothing is mixed',
          });
      }),
  )
  .min(1);

export const trainSpec = z
  .strictObject({
    ...plain,
    /** In the order they are trained; later ones replay rows of earlier ones. */
    stages,
    /** Rows with a teacher's answer learn from it, too. */
    distillation: z
      .strictObject({
        /** T, by which the distributions of teacher and student are softened. */
        temperature: z.number().positive().default(1),
        /** w of w·NLL(gold) + (1 − w)·(loss against the teacher); a row without gold has the latter alone. */
        goldWeight: z.number().min(0).max(1).default(0.5),
      })
      .optional(),
    validation: z
      .strictObject({
        /** Tokens trained on between two evaluations; 0 evaluates at the end of each stage only. */
        everyTokens: z.number().int().min(0).default(0),
        patience,
      })
      .prefault({}),
  })
  .superRefine((spec, context) => {
    for (const { field, description } of [...methodViolations(spec), ...rankViolations(spec)])
      context.addIssue({ code: 'custom', path: field.split('.'), message: description });
    const { distillation, loss, regularisation } = spec;
    if (!distillation) return;
    if (comparesNumbers(loss) || regularisation.perturbation?.name === 'mixup')
      context.addIssue({
        code: 'custom',
        path: ['distillation'],
        message: 'expected none with losses of numbers or mixup, which have another answer to learn',
      });
  });

export type TrainSpec = z.output<typeof trainSpec>;

/** Of all tokens, for each subtask but the last. */
const introductionShare = 0.1;
/** Between two validations, as many tokens are trained on as this times those validated: validation takes a ninth of the time. */
const trainedPerValidated = 3;

/** What of the rows decides about stages and validations. */
export interface TrainedOn {
  /** Subtasks that there are rows of, in the order of the curriculum. */
  readonly tasks: readonly string[];
  /** Of all rows that a validation reads. */
  readonly validationTokens: number;
  /** Tokens of the longest row to train on; 0 where it is not known. */
  readonly longest?: number;
}

/**
 * One stage for each subtask that the rows have, in the order of the curriculum. All but the last are introductions with
 * a tenth of the tokens each, or a row where that is more and there is as much for all; the last one, in which every subtask is
 * replayed, gets the rest: what ends a small model's training is what it knows best. Mixed, one stage of them all.
 */
function stagesOf(settings: TrainingSettings, present: readonly string[], longest: number): object[] {
  const { tokens, replay, mixingTemperature, competence, competenceStart } = settings;
  const easyFirst =
    competence === 'none'
      ? {}
      : {
          competence: {
            difficulty: competence,
            ...(competenceStart === undefined ? {} : { start: competenceStart }),
          },
        };
  if (settings.curriculum === 'mixed')
    return present.length === 0 ? [] : [{ tasks: present, tokens, mixingTemperature, ...easyFirst }];
  const share = Math.min(longest, Math.floor(tokens / present.length));
  const introduction = Math.max(1, share, Math.round(introductionShare * tokens));
  return present.map((task, i) => {
    const last = i === present.length - 1;
    const own = last ? Math.max(1, tokens - i * introduction) : introduction;
    return { tasks: [task], tokens: own, replay, ...easyFirst };
  });
}

/** @throws InvalidArgument when there is no row of any subtask, or too few subtasks for a setting, by its name. */
export function trainSpecOf(
  settings: TrainingSettings,
  { tasks, validationTokens, longest = 0 }: TrainedOn,
): TrainSpec {
  const { tokens, patience } = settings;
  if (tokens < longest)
    throw InvalidArgument.at(
      'tokens',
      `expected at least ${longest}, which the longest row has, got ${tokens}`,
    );
  const own = Object.keys(plain).map((name) => [name, settings[name as keyof typeof plain]]);
  const everyTokens = Math.max(Math.ceil(tokens / 8), trainedPerValidated * validationTokens);
  try {
    return {
      ...(Object.fromEntries(own) as Pick<TrainingSettings, keyof typeof plain>),
      stages: parse(stages, stagesOf(settings, tasks, longest), ['stages']),
      validation: { everyTokens, patience },
    };
  } catch (error) {
    if (!(error instanceof InvalidArgument)) throw error;
    throw new InvalidArgument(
      error.violations.map(({ field, description }) => ({
        field: field.replace(/^stages\[\d+\]\.(?!tasks)/, ''),
        description,
      })),
    );
  }
}
