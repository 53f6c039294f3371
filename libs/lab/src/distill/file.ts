/** What `distill.yaml` may hold beside the settings of training. */
import { type Inquiry, isRegression, labelViolations, scaleViolations, tasks } from '@emotune/affect';
import { z } from 'zod';

const path = z.string().min(1);
const share = z.number().min(0).max(1);

const teacher = z.strictObject({
  model: path.describe('checkpoint folder or GGUF file'),
  adapter: path.optional().describe('folder of a PEFT adapter for it'),
  weight: z.number().positive().default(1).describe('of its answers beside those of other teachers'),
  cues: z
    .boolean()
    .optional()
    .describe('ask it with lexicon cues; as its emotune.json says where this is left out, else without'),
  baseCompute: z
    .enum(['fp32', 'fp16', 'int8'])
    .default('fp32')
    .describe('how its linear layers are multiplied'),
  licence: z
    .string()
    .min(1)
    .optional()
    .describe('of the teacher, for the card; as its README.md says where this is left out'),
});

export type TeacherEntry = z.output<typeof teacher>;

const index = (part: string) => (/^\d+$/.test(part) ? Number(part) : part);

const question = z
  .strictObject({
    task: z.enum(tasks),
    labels: z.array(z.string()).optional().describe('classification: every allowed label'),
    multiLabel: z.boolean().default(false).describe('classification: several labels may hold'),
    scale: z
      .strictObject({ low: z.number(), high: z.number() })
      .optional()
      .describe('regression: the range of the answer'),
    emotion: z.string().min(1).optional().describe('emotion-regression: whose intensity'),
  })
  .superRefine(({ task, labels, multiLabel, scale, emotion }, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: (field.match(/\w+/g) ?? []).map(index), message });
    const number = isRegression(task);
    if (number && labels !== undefined) refuse('labels', `expected none with ${task}`);
    if (number && multiLabel) refuse('multiLabel', `expected false with ${task}`);
    if (!number && scale !== undefined) refuse('scale', `expected none with ${task}`);
    if ((task === 'emotion-regression') !== (emotion !== undefined))
      refuse('emotion', task === 'emotion-regression' ? 'expected an emotion' : `expected none with ${task}`);
    if (number && scale === undefined) refuse('scale', `expected a range such as {low: 0, high: 1}`);
    const wrong = number ? scale && scaleViolations(scale, 'scale') : labelViolations(labels ?? [], 'labels');
    for (const { field, description } of wrong ?? []) refuse(field, description.replace(/, got .*$/s, ''));
  });

export function inquiryOf({ task, labels, multiLabel, scale, emotion }: z.output<typeof question>): Inquiry {
  return { task, emotion: emotion ?? null, scale: scale ?? null, labelSet: labels ?? [], multiLabel };
}

const data = z
  .strictObject({
    corpora: z
      .union([z.literal('train'), z.array(z.string()).min(1)])
      .optional()
      .describe(
        'train rows of the open corpora of these names, or `train` for all that base models may learn from',
      ),
    dataset: path.optional().describe('folder of a dataset version, of which train.parquet is read'),
    texts: z
      .array(path)
      .min(1)
      .optional()
      .describe('files of texts: .txt with a text a line, .csv, .tsv, .jsonl, .parquet'),
    textColumn: z.string().min(1).default('text').describe('of those files'),
    rows: z.number().int().min(1).optional().describe('texts that are taken at most, drawn by the seed'),
  })
  .refine(({ corpora, dataset, texts }) => corpora ?? dataset ?? texts, {
    error: 'expected corpora, dataset or texts',
  });

export type DataEntry = z.output<typeof data>;

export const distillFields = z.object({
  teachers: z.array(teacher).min(1),
  student: path.describe('checkpoint folder'),
  out: path.describe('folder to write, which must not exist'),
  work: path
    .optional()
    .describe('folder of teachers’ answers and checkpoints; `out` with .work where this is left out'),
  data,
  questions: z
    .array(question)
    .min(1)
    .optional()
    .describe('what is asked of each text; what teachers were taught where this is left out'),
  questionsPerText: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('of them, drawn by the seed; all where this is left out'),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe('T, by which the distributions of teacher and student are softened'),
  goldWeight: share.default(0.5).describe('share of the gold answer’s loss where there is a gold'),
  epochs: z
    .number()
    .positive()
    .optional()
    .describe('times that the rows are trained on, where tokens does not say; 1 where neither does'),
  heldOut: share.default(0.02).describe('share of the texts on which the student is measured instead'),
  variants: z
    .number()
    .int()
    .min(1)
    .max(5)
    .default(1)
    .describe('wordings in which the student is asked each question'),
  cues: share.default(1).describe('share of the student’s rows that carry lexicon cues'),
  maxTokens: z.number().int().min(32).default(160).describe('of a row of the student'),
  dtype: z.enum(['float32', 'float16']).default('float32').describe('of the weights that are written'),
});

export type DistillFile = z.output<typeof distillFields>;
