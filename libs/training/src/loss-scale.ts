/** Dynamic loss scaling (Micikevicius et al. 2018, section 3.2), with the constants of PyTorch's GradScaler. Pure. */

export interface LossScale {
  readonly scale: number;
  /** Since the last change. */
  readonly goodSteps: number;
}

const growth = 2;
const growthInterval = 2000;
const backoff = 0.5;

export const initialLossScale: LossScale = { scale: 65_536, goodSteps: 0 };

/** After a step whose gradient was finite, or was not and is skipped. */
export function nextLossScale({ scale, goodSteps }: LossScale, finite: boolean): LossScale {
  if (!finite) return { scale: scale * backoff, goodSteps: 0 };
  return goodSteps + 1 < growthInterval
    ? { scale, goodSteps: goodSteps + 1 }
    : { scale: scale * growth, goodSteps: 0 };
}
