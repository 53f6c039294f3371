import type { tuning } from '@emotune/proto';

/** The architecture of a trial: the one it was given, or the only one there is. */
export function architectureOf(
  spec: tuning.ExperimentSpec,
  parameters: Readonly<Record<string, unknown>>,
): string {
  return String(parameters['architecture'] ?? spec.baseModels[0].architecture);
}
