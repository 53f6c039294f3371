/**
 * Floating-point operations of an optimizer step that the model asks for, whatever the program does: those of its matrix
 * products, a multiplication and an addition each. Padding, norms, softmax and AdamW are not counted.
 *
 * Forward: 2·n·in·out for each linear layer over n = B·T tokens, the same for the head over the labelled tokens, and in
 * each layer's attention 2·B·T²·W for the scores and again for their use (W = heads · head width; not halved for the
 * causal mask). The backward pass repeats a product for each of its operands that has a gradient:
 *
 * - full: three times the forward pass. With all tokens labelled that is 6·weights·n + 12·layers·W·T·n
 *   (Chowdhery et al. 2022, PaLM, appendix B).
 * - lora: frozen weights have no gradient, so theirs count twice; attention and the adapters three times.
 */
import { type Method, type ModelConfig, modelParameters, trainableParameters } from '@emotune/models';

export interface StepShape {
  readonly batch: number;
  readonly sequence: number;
  /** Labelled tokens of a row. */
  readonly answers: number;
}

/** x [rows, into] · W [into, out], `count` times in a forward pass. */
export interface Product {
  readonly rows: number;
  readonly into: number;
  readonly out: number;
  readonly count: number;
}

/** The linear layers and the head, equal ones together. */
export function linearProducts(config: ModelConfig, { batch, sequence, answers }: StepShape): Product[] {
  const width = config.family === 'opt' ? config.embeddingSize : config.hiddenSize;
  const head = { rows: batch * answers, into: width, out: config.vocabSize };
  const layers = modelParameters(config)
    .filter(({ name, shape }) => shape.length === 2 && !/embed|lm_head/.test(name))
    .map(({ shape: [out, into] }) => ({ rows: batch * sequence, into, out }));
  const products = new Map<string, Product>();
  for (const product of [...layers, head]) {
    const key = Object.values(product).join();
    products.set(key, { ...product, count: (products.get(key)?.count ?? 0) + 1 });
  }
  return [...products.values()];
}

export function productFlops({ rows, into, out, count }: Product): number {
  return 2 * rows * into * out * count;
}

export function stepFlops(config: ModelConfig, method: Method, shape: StepShape): number {
  const { batch, sequence } = shape;
  const linear = linearProducts(config, shape).reduce((sum, product) => sum + productFlops(product), 0);
  const width = config.family === 'llama' ? config.heads * config.headDim : config.hiddenSize;
  const attention = config.layers * 4 * batch * sequence ** 2 * width;
  if (method.name === 'full') return 3 * (linear + attention);
  const adapters = trainableParameters(config, method).reduce(
    (sum, { shape: [rows, columns] }) => sum + 2 * batch * sequence * rows * columns,
    0,
  );
  return 2 * linear + 3 * (attention + adapters);
}
