/** What a run is told of losses and regularisation, and which combinations make no sense. */
import { InvalidArgument, type Violation, Violations } from '@emotune/base';
import { type Masking, type ModelConfig, mixedParameters } from '@emotune/models';
import { z } from 'zod';
import type { Row } from '../batches.js';
import type { TrainSpec } from '../spec.js';
import { perturbationSettings } from './methods.js';

const rate = z.number().min(0).lt(1);

export const lossSettings = z.strictObject({
  /** ε of uniform label smoothing of every answer token. */
  labelSmoothing: rate.default(0),
  /** Number Token Loss (Zausinger et al. 2025), added to the answer loss. */
  numberTokens: z
    .strictObject({
      distance: z.enum(['squared', 'wasserstein']).default('wasserstein'),
      weight: z.number().positive().default(0.3),
    })
    .optional(),
  /** What answers that are numbers are trained by: their likelihood, or the likelihood of all candidates. */
  regression: z
    .discriminatedUnion('name', [
      z.strictObject({ name: z.literal('answer') }),
      /** Squared error of the expected value on 0..1 (Lukasik et al. 2025). */
      z.strictObject({
        name: z.literal('raft'),
        weight: z.number().positive().default(1),
        /** The weight of the answer's likelihood beside it. */
        answerWeight: z.number().min(0).default(0),
      }),
      /** Cross-entropy against a Gaussian around the right number. */
      z.strictObject({
        name: z.literal('ordinal'),
        /** Its standard deviation on 0..1. */
        deviation: z.number().positive().default(0.05),
        weight: z.number().positive().default(1),
        answerWeight: z.number().min(0).default(0),
      }),
    ])
    .default({ name: 'answer' }),
});

export const regularisationSettings = z.strictObject({
  /** At most one method that perturbs, or compares runs. */
  perturbation: perturbationSettings.optional(),
  /** Rates of inverted dropout. */
  dropout: z
    .strictObject({
      /** The rate at which elements of the token embeddings are dropped. */
      embedding: rate.default(0),
      /** The rate for elements of what each sublayer adds to the residual stream. */
      hidden: rate.default(0),
      /** The rate for elements of what LoRA branches see. */
      lora: rate.default(0),
    })
    .prefault({}),
  /** Weights mixed with the pretrained ones (Lee, Cho and Kang 2020). */
  mixout: z
    .strictObject({
      rate,
      over: z.enum(['element', 'inputFeature']).default('inputFeature'),
    })
    .optional(),
});

type LossSettings = z.output<typeof lossSettings>;
export type RegularisationSettings = z.output<typeof regularisationSettings>;

/** Does a loss need to know what answers mean as numbers? */
export function comparesNumbers({ numberTokens, regression }: LossSettings): boolean {
  return numberTokens !== undefined || regression.name !== 'answer';
}

type Checked = Pick<TrainSpec, 'method' | 'loss' | 'regularisation' | 'ema'>;

/** Combinations that make no sense, by field. */
export function methodViolations({ method, loss, regularisation, ema }: Checked): readonly Violation[] {
  const { perturbation, dropout, mixout } = regularisation;
  const violations = new Violations();
  const refuse = (field: string, description: string) => violations.add(field, description);
  const lora = method.name === 'lora';
  const compares = loss.regression.name !== 'answer';
  if (loss.numberTokens && compares)
    refuse(
      'loss.numberTokens',
      `expected none with the regression loss ${loss.regression.name}, which compares whole numbers; choose one`,
    );
  if (perturbation?.name === 'mixup' && (compares || loss.numberTokens))
    refuse(
      'regularisation.perturbation',
      'expected no mixup with losses of numbers: a mixed row has two answers',
    );
  const random = dropout.embedding > 0 || dropout.hidden > 0 || dropout.lora > 0 || mixout !== undefined;
  if (perturbation?.name === 'rdrop' && !random)
    refuse(
      'regularisation.perturbation',
      'expected dropout or mixout with rdrop: without them its two runs are the same',
    );
  if (perturbation?.name === 'smart' && perturbation.proximal > 0 && ema === undefined)
    refuse(
      'regularisation.perturbation.proximal',
      'expected 0, or `ema`: the proximal term compares with the moving average of the weights',
    );
  if (dropout.lora > 0 && !lora)
    refuse('regularisation.dropout.lora', 'expected 0 with full fine-tuning, which has no LoRA branch');
  if (dropout.lora > 0 && mixout)
    refuse('regularisation.dropout.lora', 'expected 0 with mixout, which masks the same branches');
  if (mixout && lora && 'dora' in method && method.dora)
    refuse('regularisation.mixout', 'expected none with DoRA, whose update is not a sum that can be masked');
  return violations.list;
}

/**
 * What can be told only when the model and the rows are known.
 * @throws InvalidArgument
 */
export function checkMethods(spec: TrainSpec, config: ModelConfig, rows: readonly Row[]): void {
  const { loss, regularisation, method } = spec;
  if (regularisation.mixout && method.name === 'full' && mixedParameters(config, method).length === 0)
    throw InvalidArgument.at(
      'regularisation.mixout',
      'expected a trained linear layer in the blocks to mix, got none: all are frozen',
    );
  const asks = loss.numberTokens ? 'loss.numberTokens' : 'loss.regression';
  if (comparesNumbers(loss) && !rows.some(({ number }) => number !== undefined))
    throw InvalidArgument.at(asks, 'expected rows whose answers are numbers, got none');
}

/** The masks of a run's graphs. */
export function maskingOf({ dropout, mixout }: RegularisationSettings): Masking {
  return {
    embeddingDropout: dropout.embedding,
    hiddenDropout: dropout.hidden,
    loraDropout: dropout.lora,
    mixout,
  };
}
