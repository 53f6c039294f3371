/**
 * What each object of a folder store should hold. Beside the objects lies, for each, a file with a line for every content
 * that was put under its key, written before the object takes its place: a writer killed in between, or two at once, leave
 * an object that is one of them. A last line says that the object did take its place, so that it is missed when it is gone,
 * or that it is about to be deleted, so that it is not.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { appendFile, type FileHandle, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncToDisk } from '@emotune/base';
import type { Damage, Sum } from './damage.js';
import { filesBelow, isAbsent } from './files.js';

/** Read and hashed at once: the event loop is never held for longer than that takes. */
const pieceBytes = 2 ** 20;
/** At first: most files are small, and many are looked at together. */
const firstBytes = 2 ** 14;
/** The file system's clock ticks at least as often: a later change of a file that has rested so long changes its times. */
const restMs = 100;
const mostRemembered = 100_000;

/** Of files whose content was what it should be, by path: what tells them from other or changed ones. */
const intact = new Map<string, string>();

function remember(path: string, identity: string): void {
  intact.delete(path);
  intact.set(path, identity);
  if (intact.size > mostRemembered) intact.delete(intact.keys().next().value!);
}

/** The sum of an open file's content. */
export async function sumOf(file: FileHandle): Promise<Sum> {
  const hash = createHash('sha256');
  let buffer = Buffer.allocUnsafe(firstBytes);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, bytes);
    if (bytesRead === 0) return { sha256: hash.digest('hex'), bytes };
    hash.update(buffer.subarray(0, bytesRead));
    bytes += bytesRead;
    if (bytesRead === firstBytes) buffer = Buffer.allocUnsafe(pieceBytes);
  }
}

interface Look {
  /** Tells whether a file that was looked at before has been changed or replaced. */
  readonly content: string;
  readonly damage?: Damage;
}

interface Known {
  readonly sums: readonly Sum[];
  /** Whether the object has been there, and is to stay. */
  readonly placed: boolean;
  /** Nothing was put or placed since it was said to be about to go. */
  readonly leaving: boolean;
}

export class Sums {
  constructor(private readonly root: string) {}

  private path(key: string): string {
    return join(this.root, key);
  }

  private async known(key: string): Promise<Known> {
    const text = await readFile(this.path(key), 'utf8').catch((error) => {
      if (isAbsent(error)) return '';
      throw error;
    });
    // What a loss of power has cut off counts for nothing.
    const sums = [...text.matchAll(/^([0-9a-f]{64}) (\d+)$/gm)].map(([, sha256, bytes]) => ({
      sha256,
      bytes: Number(bytes),
    }));
    const state = text.match(/^(?:placed|leaving)$/gm)?.at(-1);
    const leaving = text.trimEnd().endsWith('leaving');
    return { sums, placed: sums.length > 0 && state === 'placed', leaving };
  }

  /** Before the object takes its place. */
  async expect(key: string, { sha256, bytes }: Sum): Promise<void> {
    const path = this.path(key);
    const { sums, leaving } = await this.known(key);
    if (!leaving && sums.some((sum) => sum.sha256 === sha256)) return;
    const line = `\n${sha256} ${bytes}\n`;
    for (let tries = 5; ; tries--) {
      try {
        await mkdir(dirname(path), { recursive: true });
        await appendFile(path, line, { mode: 0o600 });
        return await syncToDisk(path);
      } catch (error) {
        // Whoever deletes below the same prefix may remove the folder meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 0) throw error;
      }
    }
  }

  /** Once the object has taken its place. One that goes already is not missed. */
  async placed(key: string): Promise<void> {
    const { placed, leaving } = await this.known(key);
    if (placed || leaving) return;
    await this.note(this.path(key), 'placed');
  }

  /** Of an object that was about to go and did not. */
  stays(key: string): Promise<void> {
    return this.note(this.path(key), 'placed');
  }

  /** Before the objects of a prefix are deleted: whoever looks for one of them meanwhile misses nothing. */
  async leaving(prefix: string): Promise<void> {
    const path = this.path(prefix);
    for (const file of [path, ...(await filesBelow(path))]) await this.note(file, 'leaving');
  }

  /** Not made anew where it was deleted meanwhile. */
  private async note(path: string, state: 'placed' | 'leaving'): Promise<void> {
    await appendFile(path, `${state}\n`, { flag: constants.O_WRONLY | constants.O_APPEND }).catch((error) => {
      if (!isAbsent(error)) throw error;
    });
  }

  /** After the objects are gone. */
  remove(prefix: string): Promise<void> {
    return rm(this.path(prefix), { recursive: true, force: true, maxRetries: 100, retryDelay: 1 });
  }

  /** Looks at the object that lies there as this file. Hashes it unless it has not changed since it last did. */
  async look(key: string, path: string, file: FileHandle): Promise<Look> {
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await file.stat({ bigint: true });
    const content = [dev, ino, size, mtimeNs].join(' ');
    const identity = `${content} ${ctimeNs}`;
    if (intact.get(path) === identity) return { content };
    const began = Date.now();
    const { sums } = await this.known(key);
    const found = await sumOf(file);
    const expected = sums.at(-1);
    // Put there before sums were kept, or by a writer that died at the wrong moment: from now on it is to stay as it is.
    if (!expected) await this.adopt(key, path, found);
    else if (!sums.some(({ sha256 }) => sha256 === found.sha256))
      return { content, damage: { key, expected, found } };
    if (began - Number(ctimeMs) > restMs) remember(path, identity);
    return { content };
  }

  /** Of an object that is not there: what is missed, or undefined where there was none. */
  async lossOf(key: string): Promise<Damage | undefined> {
    const { sums, placed } = await this.known(key);
    return placed ? { key, expected: sums.at(-1)!, found: undefined } : undefined;
  }

  private async adopt(key: string, path: string, found: Sum): Promise<void> {
    try {
      await this.expect(key, found);
      await this.placed(key);
      // Deleted since it was opened: what was deleted is not missed.
      await stat(path).catch((error) => {
        if (isAbsent(error)) return this.remove(key);
        throw error;
      });
    } catch {
      // It can be read where nothing can be written.
    }
  }
}
