/** What a run is told of losses and regularisation, and which combinations make no sense. */
import { InvalidArgument, type Violation, Violations } from '@emotune/base';
import { type Masking, type ModelConfig, mixedParameters } from '@emotune/models';
import { z } from 'zod';
import type { Row } from '../batches.js';
import type { TrainSpec } from '../spec.js';
import { perturbationSettings } from './methods.js';

const rate = z.number().min(0).lt(1);

const answerWeight = z.number().min(0).default(0).meta({
  description: 'of the default loss beside it on these answers',
});
const weight = z.number().positive().default(1).meta({ description: 'of this loss' });

export const lossSettings = z.strictObject({
  labelSmoothing: rate.default(0).meta({
    description:
      "ε of (1 − ε)·(−log p(y)) + ε·(mean over the vocabulary of −log p) on every answer token, as PyTorch's `cross_entropy` (Szegedy et al. 2016, section 7)",
  }),
  numberTokens: z
    .strictObject({
      distance: z.enum(['squared', 'wasserstein']).default('wasserstein').meta({
        description:
          'Number Token Loss (Zausinger et al. 2025) on the digits of answers that are numbers, added to the default loss: Σ p·|v − y|, or with `squared` (Σ p·v − y)², p over the digit tokens alone',
      }),
      weight: z.number().positive().default(0.3).meta({ description: 'its λ; the mean is over the digits' }),
    })
    .optional(),
  regression: z
    .discriminatedUnion('name', [
      z.strictObject({ name: z.literal('answer') }),
      /** Squared error of the expected value on 0..1 (Lukasik et al. 2025). */
      z.strictObject({ name: z.literal('raft'), weight, answerWeight }),
      /** Cross-entropy against a Gaussian around the right number. */
      z.strictObject({
        name: z.literal('ordinal'),
        deviation: z.number().positive().default(0.05).meta({ description: 'σ on 0..1' }),
        weight,
        answerWeight,
      }),
    ])
    .default({ name: 'answer' })
    .meta({
      description:
        'what answers that are numbers are trained by: their likelihood, or the likelihood of all candidates',
    }),
});

export const regularisationSettings = z.strictObject({
  perturbation: perturbationSettings
    .optional()
    .meta({ description: 'a method that perturbs, or compares runs; `none` leaves it out' }),
  dropout: z
    .strictObject({
      embedding: rate.default(0).meta({ description: 'inverted dropout on the token embeddings' }),
      hidden: rate
        .default(0)
        .meta({ description: 'on what attention and feed-forward add to the residual stream' }),
      lora: rate.default(0).meta({ description: "on what each LoRA branch sees, as PEFT's `lora_dropout`" }),
    })
    .prefault({}),
  mixout: z
    .strictObject({
      rate: rate.meta({
        description:
          "p of mixout (Lee, Cho and Kang 2020): W₀ + M⊙(W − W₀)/(1 − p) for the trained linear layers of the blocks; the paper's p are 0.7 to 0.9",
        usual: 'no mixout',
      }),
      over: z.enum(['element', 'inputFeature']).default('inputFeature').meta({
        description:
          "one mask for each input feature, shared by output rows as in the authors' code, or for each `element` as in the paper",
      }),
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
