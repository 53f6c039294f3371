/** What a model's evaluation found, from its results.json in the object store. */
import { tasks } from '@emotune/affect';
import { NotFound } from '@emotune/base';
import type { ObjectStore } from '@emotune/objects';
import { z } from 'zod';

const schema = z.object({
  dataset: z.string(),
  datasetVersion: z.string(),
  split: z.string(),
  tasks: z.array(
    z.object({
      task: z.enum(tasks),
      n: z.number(),
      metrics: z.record(z.string(), z.number()),
      intervals: z.record(z.string(), z.object({ low: z.number(), high: z.number() })),
    }),
  ),
});

export type Results = z.output<typeof schema>;

/** Undefined where there is none (any more). @param prefix folder of the evaluation; empty for none */
export async function evaluationResults(objects: ObjectStore, prefix: string): Promise<Results | undefined> {
  if (prefix === '') return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(await objects.get(`${prefix}/results.json`)).toString()));
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}
