/** Rows of a feature set as a model sees them. */
import { type Split, splits } from '@emotune/affect';
import { FailedPrecondition, NotFound, nearest, show, Violations } from '@emotune/base';
import type { ObjectStore } from '@emotune/objects';
import type { featurization } from '@emotune/proto';
import { decodeShard, type FeatureRow } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import type { Tokenizer } from '@emotune/text';

const usualRows = 5;
/** So few that taking them in does not hold the service. */
const rowsAtOnce = 200;

/** What a request for rows asks for, and where they lie. */
export interface PlannedPreview {
  readonly tokenized: featurization.TokenizedFeatures;
  readonly files: readonly string[];
  readonly rows: number;
}

/** @throws InvalidArgument with every violation; FailedPrecondition when the set is not ready. */
export function previewOf(
  request: featurization.PreviewFeatureSetRequest,
  tokenized: readonly featurization.TokenizedFeatures[],
): PlannedPreview {
  const { name, baseModel } = request;
  const split = request.split || 'train';
  if (tokenized.length === 0)
    throw new FailedPrecondition(
      `feature set ${name} cannot be read: it is not ready; "emotune features get ${name}" says why`,
    );
  const violations = new Violations();
  violations.expect(
    splits.includes(split as Split),
    'split',
    `expected train, validation or test, got ${show(split)}`,
  );
  violations.expect(request.rows >= 0, 'rows', `expected 0 or more, got ${request.rows}`);
  const models = tokenized.flatMap(({ baseModels }) => baseModels);
  const of = tokenized.find(({ baseModels }) => baseModel === '' || baseModels.includes(baseModel));
  const near = nearest(baseModel, models);
  violations.expect(
    of !== undefined,
    'baseModel',
    `expected a base model of the feature set (${models.join(', ')}), got ${show(baseModel)}${near ? `; did you mean "${near}"?` : ''}`,
  );
  violations.throwIfAny();
  const files = of!.splits.find((each) => each.split === split)?.files ?? [];
  return { tokenized: of!, files, rows: request.rows || usualRows };
}

function messageOf(row: FeatureRow, tokenizer: Tokenizer): featurization.FeatureExample {
  return {
    id: row.id,
    task: taskMessage(row.task),
    source: row.source,
    prompt: tokenizer.decode(row.tokens.subarray(0, row.answerStart)),
    answer: row.answer,
    tokens: Array.from(row.tokens, (id) => ({ id, text: tokenizer.tokenOf(id) ?? '' })),
    promptTokens: row.answerStart,
    derivedFrom: row.derived?.from ?? '',
    derivedBy: row.derived?.by ?? '',
  };
}

/** Rows of one file, in its order, from one on. @throws NotFound when it is gone. */
export async function rowsOfFile(
  objects: ObjectStore,
  key: string,
  { from, rows }: { readonly from: number; readonly rows: number },
  tokenizer: Tokenizer,
): Promise<featurization.FeatureExample[]> {
  const bytes = await objects.get(key).catch((cause) => {
    if (!(cause instanceof NotFound)) throw cause;
    throw new NotFound('the files of the feature set are gone from the object store; create it again', {
      cause,
    });
  });
  return decodeShard(bytes)
    .slice(from, from + rows)
    .map((row) => messageOf(row, tokenizer));
}

/** @param read Some rows of a file, from one on. */
export async function* previewed(
  { files, rows }: PlannedPreview,
  read: (file: string, from: number, rows: number) => Promise<featurization.FeatureExample[]>,
): AsyncGenerator<featurization.FeatureExample> {
  let left = rows;
  for (const file of files)
    for (let from = 0; left > 0; ) {
      const asked = Math.min(left, rowsAtOnce);
      const some = await read(file, from, asked);
      yield* some;
      left -= some.length;
      from += some.length;
      if (some.length < asked) break;
    }
}
