/**
 * What examples take in memory: all of a dataset are held while they are divided into splits, so a dataset has as many as fit. Files are read
 * in pieces whatever their size.
 */
import { getHeapStatistics } from 'node:v8';
import { InvalidArgument } from '@emotune/base';
import { megabytes } from './limits.js';

/** What was read of a file, or of several. */
export interface Held {
  readonly rows: number;
  /** Of the texts, as JavaScript holds them. */
  readonly textBytes: number;
}

/**
 * An example, and its places in the groups, questions and splits that are made of it. Measured: 300,000 rows of 106 characters took
 * 370 MB, of which 124 MB when they were read.
 */
const bytesPerRow = 1_000;
/** The text, its key, and the question about it. */
const copiesOfText = 3;
/** Of the heap; the rest is for what runs beside. */
const share = 0.7;
const ownHeapBytes = getHeapStatistics().heap_size_limit;

/** Latin-1 takes a byte for each character, anything else two. */
export function bytesOf(text: string): number {
  return /^[\0-\xff]*$/.test(text) ? text.length : 2 * text.length;
}

/** @throws InvalidArgument when examples take more than a process with such a heap can spare. */
export function expectFits({ rows, textBytes }: Held, field: string, heapBytes = ownHeapBytes): void {
  const most = share * heapBytes;
  if (rows * bytesPerRow + textBytes * copiesOfText <= most) return;
  throw InvalidArgument.at(
    field,
    `expected rows that take at most ${megabytes(most)} of memory while they are divided (${bytesPerRow} bytes each and ` +
      `${copiesOfText} times their text), got ${rows.toLocaleString('en')} rows or more with ${megabytes(textBytes)} of text: ` +
      'make several datasets of them, or give the process more memory (NODE_OPTIONS=--max-old-space-size=MEBIBYTES)',
  );
}
