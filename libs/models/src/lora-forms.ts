/** The forms of low-rank adaptation: the next one is a file beside `lora-dora.ts` and a row here. */
import type { Lora } from './lora.js';
import { dora } from './lora-dora.js';
import type { LoraForm } from './lora-form.js';
import { plainLora } from './lora-plain.js';

export function loraForm(lora: Lora): LoraForm {
  return lora.dora ? dora : plainLora;
}
