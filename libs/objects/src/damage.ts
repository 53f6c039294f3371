/** What is said of objects that are not what was put there. */
import { DataLoss } from '@emotune/base';

/** A content as its recorded or found sum tells it. */
export interface Sum {
  readonly sha256: string;
  readonly bytes: number;
}

export interface Damage {
  readonly key: string;
  readonly expected: Sum;
  /** Undefined: the object is gone. */
  readonly found: Sum | undefined;
}

/** How an artifact is made whole again, by the first folder of its key. */
const remedies: ReadonlyMap<string, string> = new Map([
  ['models', 'import the model again from whole files, or train it again'],
  ['datasets', 'create the data set again with the same spec'],
  ['features', 'create the feature set again with the same spec'],
  ['evaluations', 'evaluate again'],
  ['exports', 'export the model again'],
  ['uploads', 'upload the file again'],
]);

/** Named at most. */
const named = 5;

const told = ({ sha256, bytes }: Sum) => `${bytes} bytes with SHA-256 ${sha256}`;

export function replaced(prefix: string): DataLoss {
  return new DataLoss(
    `${prefix}: its files were replaced while they were in use; they have to be read again`,
  );
}

/** The error for one or more objects of a prefix. */
export function damaged(damages: readonly Damage[]): DataLoss {
  const lines = damages
    .slice(0, named)
    .map(
      ({ key, expected, found }) =>
        `${key}: expected ${told(expected)}, got ${found ? told(found) : 'nothing'}`,
    );
  const more = damages.length > named ? `; and ${damages.length - named} more` : '';
  const remedy = remedies.get(damages[0].key.split('/')[0]) ?? 'it has to be made again';
  return new DataLoss(`${lines.join('; ')}${more}: damaged, and not used; ${remedy}`);
}
