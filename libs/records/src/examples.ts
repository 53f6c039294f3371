/** Dataset files: one Parquet file per split, one row per example. */
import type { Example, Split, Task } from '@emotune/affect';
import { parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';

type StringColumn = 'id' | 'source' | 'originalId' | 'licence' | 'language' | 'task' | 'text';
const strings: readonly StringColumn[] = [
  'id',
  'source',
  'originalId',
  'licence',
  'language',
  'task',
  'text',
];

/** The bytes of one split's file. The same examples give the same bytes. */
export function encodeExamples(examples: readonly Example[]): Uint8Array {
  const text = (name: string, data: (string | null)[]) => ({
    name,
    data,
    type: 'STRING' as const,
    nullable: name === 'emotion',
  });
  const number = (name: string, data: (number | null)[]) => ({
    name,
    data,
    type: 'DOUBLE' as const,
    nullable: true,
  });
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        ...strings.map((name) =>
          text(
            name,
            examples.map((e) => e[name]),
          ),
        ),
        text(
          'emotion',
          examples.map((e) => e.emotion),
        ),
        number(
          'value',
          examples.map((e) => e.value),
        ),
        number(
          'spread',
          examples.map((e) => e.spread),
        ),
        text(
          'labels',
          examples.map((e) => e.labels.join('|')),
        ),
        text(
          'labelSet',
          examples.map((e) => e.labelSet.join('|')),
        ),
        {
          name: 'multiLabel',
          data: examples.map((e) => e.multiLabel),
          type: 'BOOLEAN' as const,
          nullable: false,
        },
        number(
          'scaleLow',
          examples.map((e) => e.scale?.low ?? null),
        ),
        number(
          'scaleHigh',
          examples.map((e) => e.scale?.high ?? null),
        ),
      ],
    }),
  );
}

function list(joined: string): string[] {
  return joined === '' ? [] : joined.split('|');
}

/** Reads rows `start` (inclusive) to `end` (exclusive) of one split's file. */
export async function decodeExamples(
  bytes: Uint8Array,
  split: Split,
  start = 0,
  end?: number,
): Promise<Example[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({
    file,
    rowStart: start,
    ...(end === undefined ? {} : { rowEnd: end }),
  });
  return rows.map((row) => ({
    id: row['id'],
    source: row['source'],
    originalId: row['originalId'],
    licence: row['licence'],
    language: row['language'],
    task: row['task'] as Task,
    text: row['text'],
    emotion: row['emotion'] ?? null,
    value: row['value'] ?? null,
    spread: row['spread'] ?? null,
    labels: list(row['labels']),
    labelSet: list(row['labelSet']),
    multiLabel: row['multiLabel'],
    scale: row['scaleLow'] == null ? null : { low: row['scaleLow'], high: row['scaleHigh'] },
    split,
  }));
}
