/** The methods that perturb. The next one is a file beside this one, and a line in each list here. */
import { z } from 'zod';
import { fgm, fgmSettings } from './fgm.js';
import { freelb, freelbSettings } from './freelb.js';
import type { Perturbation } from './method.js';
import { mixup, mixupSettings } from './mixup.js';
import { neftune, neftuneSettings } from './neftune.js';
import { pgd, pgdSettings } from './pgd.js';
import { r3f, r3fSettings } from './r3f.js';
import { rdrop, rdropSettings } from './rdrop.js';
import { smart, smartSettings } from './smart.js';

export const perturbationSettings = z.discriminatedUnion('name', [
  neftuneSettings,
  mixupSettings,
  fgmSettings,
  pgdSettings,
  freelbSettings,
  smartSettings,
  r3fSettings,
  rdropSettings,
]);

export type PerturbationSettings = z.output<typeof perturbationSettings>;

const methods = { neftune, mixup, fgm, pgd, freelb, smart, r3f, rdrop };

/** The method that the settings are of. */
export function perturbationOf(settings: PerturbationSettings): Perturbation<PerturbationSettings> {
  return methods[settings.name] as unknown as Perturbation<PerturbationSettings>;
}
