/** The learning rate as a share of its peak. Pure. */
import type { TrainSpec } from './spec.js';

/** `progress`: tokens done of all, 0..1. Rises linearly over the warm-up, then follows the named curve to `finalRatio`. */
export function rateAt({ name, warmupRatio, finalRatio }: TrainSpec['schedule'], progress: number): number {
  if (progress < warmupRatio) return progress / warmupRatio;
  if (name === 'constant') return 1;
  const rest = warmupRatio >= 1 ? 1 : Math.min(1, (progress - warmupRatio) / (1 - warmupRatio));
  const fall = name === 'linear' ? 1 - rest : (1 + Math.cos(Math.PI * rest)) / 2;
  return finalRatio + (1 - finalRatio) * fall;
}
