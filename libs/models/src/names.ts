/**
 * What tensors are called that belong to a weight or a layer, in graphs, in an executor's slots and in checkpoints. Weights
 * themselves have the names of their parameters; keys and values those of `kv-cache.ts`.
 */

/** Each of a weight; `delta`, which is added to the embeddings, has a gradient too. */
export const slotNames = {
  gradient: (weight: string) => `grad.${weight}`,
  /** The gradient of one more micro-batch, to be added to that of those before. */
  part: (weight: string) => `part.${weight}`,
  /** What an optimizer keeps, by its own word for it. */
  state: (part: string, weight: string) => `${part}.${weight}`,
  /** The moving average. */
  average: (weight: string) => `ema.${weight}`,
  /** As it was before training. */
  pretrained: (weight: string) => `pretrained.${weight}`,
  /** As it was at the best validation. */
  best: (weight: string) => `best.${weight}`,
  /** What an update makes for a slot. */
  next: (slot: string) => `next.${slot}`,
  /** Log-probabilities of a run that another is to be consistent with. */
  reference: (run: string) => `reference.${run}`,
} as const;

/** The weight of a name that `slotNames.best` made. */
export function weightOfBest(name: string): string | undefined {
  const prefix = slotNames.best('');
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

/** Random masks, of the layer `module`, true where kept. */
export const maskNames = {
  embedding: () => 'mask.embeddings',
  hidden: (module: string) => `mask.hidden.${module}`,
  lora: (module: string) => `mask.lora.${module}`,
  mixout: (module: string) => `mask.mixout.${module}`,
} as const;

type MaskKind = keyof typeof maskNames;

/** Which of `maskNames` made a name; undefined for what is no mask. */
export function maskKind(name: string): MaskKind | undefined {
  const kinds = Object.keys(maskNames) as MaskKind[];
  return kinds.find((kind) => name.startsWith(maskNames[kind]('')));
}
