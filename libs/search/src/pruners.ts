/** The pruners by name. A new one is a file in `pruners/` and a row here. */
import { fieldPath, InvalidArgument, nearest, parse } from '@emotune/base';
import { z } from 'zod';
import { goOn, type TrialCurve, type Verdict } from './pruners/curves.js';
import { asha, hyperband } from './pruners/halving.js';
import { patience } from './pruners/patience.js';
import { median, percentile } from './pruners/percentile.js';
import type { Pruner, PrunerSettings } from './pruners/pruner.js';
import { threshold } from './pruners/threshold.js';
import { wilcoxon } from './pruners/wilcoxon.js';

const none: Pruner<Record<string, never>> = {
  settings: z.strictObject({}),
  judge: () => goOn('nothing is stopped early'),
};

const pruners: ReadonlyMap<string, Pruner> = new Map<string, Pruner>(
  Object.entries({ none, patience, median, percentile, asha, hyperband, threshold, wilcoxon }) as [
    string,
    Pruner,
  ][],
);

const defaultPruner = 'patience';

/** A pruner by name with its settings. */
export interface EarlyStopping {
  readonly name: string;
  readonly settings: PrunerSettings;
}

/**
 * Checks a pruner's name and settings; an empty or absent name means patience. Settings that are left out get their
 * defaults.
 * @throws InvalidArgument naming the unknown pruner with its nearest, or every wrong setting.
 */
export function parseEarlyStopping(
  input: { readonly name?: string; readonly settings?: unknown },
  path: readonly PropertyKey[] = ['earlyStopping'],
): EarlyStopping {
  const name = input.name || defaultPruner;
  const pruner = pruners.get(name);
  if (!pruner) {
    const names = [...pruners.keys()];
    const near = nearest(name, names);
    const hint = near === undefined ? `, expected one of ${names.join(', ')}` : `, did you mean "${near}"?`;
    throw InvalidArgument.at(fieldPath([...path, 'name']), `no pruner is called "${name}"${hint}`);
  }
  return { name, settings: parse(pruner.settings, input.settings ?? {}, [...path, 'settings']) };
}

/**
 * What is to become of a trial after its last measurement; see `Pruner.judge`.
 * @param others Every trial of the experiment, in any order, whatever its state.
 * @param spec As `parseEarlyStopping` gives it.
 */
export function judge(trial: TrialCurve, others: readonly TrialCurve[], spec: EarlyStopping): Verdict {
  return (pruners.get(spec.name) as Pruner).judge(trial, others, spec.settings);
}
