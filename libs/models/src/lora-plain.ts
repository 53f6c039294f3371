/** LoRA as Hu et al. (2022) have it: x·Wᵀ + s·x·Aᵀ·Bᵀ. */
import { build as b } from '@emotune/graph';
import { branch, type LoraForm } from './lora-form.js';

export const plainLora: LoraForm = {
  parameters: () => [],
  initial: () => new Map(),
  constants: () => [],
  constant: () => new Map(),
  apply: (x, site) => b.add(site.base(x), branch(x, site)),
  merge: (_, updated) => updated,
};
