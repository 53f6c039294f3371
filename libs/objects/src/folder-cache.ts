/**
 * Local copies of what lies in a remote store, which several processes of one machine share.
 *
 *   entries/<id>/{files/…, entry.json}   whole: renamed to its place when all of it is on disk
 *   holders/<id>/<holder>                who uses an entry touches a file of its own here now and then
 *   incoming/<name>                      what is on its way, or out
 *
 * An entry's id stands for its content. The one that was used longest ago goes first, and none that somebody holds: who holds
 * writes its file before it looks whether the entry is marked as going, who evicts marks it before it looks for holders, so
 * that one of the two sees the other.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, mkdir, open, readFile, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import {
  type Clock,
  FailedPrecondition,
  makeFolder,
  ResourceExhausted,
  syncToDisk,
  systemClock,
} from '@emotune/base';
import { replaced } from './damage.js';
import { entries, filesBelow, isAbsent, storeError } from './files.js';
import type { FolderLease } from './store.js';

/** Who lives touches what is its own this often; what has not been touched for so long is a dead process's. */
const touchMs = 20_000;
const deadMs = 600_000;
/** What seems to be a dead process's is looked at again after this time: the clock may have been set, or the machine slept. */
const secondLookMs = 30_000;
/** The lock of a fetch, which is touched too. */
const lockMs = 90_000;
/** The mark of what is going: that takes moments. */
const markMs = 10_000;
const lookMs = 100;
const going = 'going';
const mostTries = 100;

interface Entry {
  /** What lies in it. */
  readonly bytes: number;
  /** By path: what tells a file from a changed one. */
  readonly files: Readonly<Record<string, string>>;
}

function ageMs({ mtimeMs }: Stats): number {
  return Date.now() - mtimeMs;
}

async function identityOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

export interface CacheOptions {
  readonly folder: string;
  /** Of all entries; more only while they are held. */
  readonly limitBytes: number;
  readonly clock?: Clock;
}

export class FolderCache {
  private readonly clock: Clock;
  /** Files and folders of this process. */
  private readonly own = new Set<string>();
  private toucher: NodeJS.Timeout | undefined;
  /** Holders that seem to be dead, and since when. */
  private readonly suspects = new Map<string, number>();

  private constructor(private readonly options: CacheOptions) {
    this.clock = options.clock ?? systemClock;
  }

  /** @throws FailedPrecondition, ResourceExhausted where it cannot be made, or is another user's. */
  static async open(options: CacheOptions): Promise<FolderCache> {
    const { folder } = options;
    const cache = new FolderCache(options);
    try {
      await makeFolder(folder, 0o700);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw storeError(error, folder);
    }
    const found = await lstat(folder);
    // A link, or another user's folder, may be a trap in a place like /tmp.
    if (!found.isDirectory() || (process.getuid !== undefined && found.uid !== process.getuid()))
      throw new FailedPrecondition(
        `${folder}: expected a folder of this user; name another in EMOTUNE_OBJECTS_CACHE_DIR`,
      );
    await cache.sweep();
    return cache;
  }

  /** Its parts, which whoever cleans up old files may remove. */
  private async make(...parts: string[]): Promise<string> {
    const folder = this.path(...parts);
    for (let tries = mostTries; ; tries--) {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        return folder;
      } catch (error) {
        // It was there, and went while it was looked at.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 0)
          throw storeError(error, folder);
      }
    }
  }

  private path(...parts: string[]): string {
    return join(this.options.folder, ...parts);
  }

  /** Touches this path until it is removed by `disown`. */
  private keep(path: string): void {
    this.own.add(path);
    this.toucher ??= setInterval(() => {
      const now = new Date();
      for (const kept of this.own) utimes(kept, now, now).catch(() => {});
    }, touchMs).unref();
  }

  private async disown(path: string): Promise<void> {
    this.own.delete(path);
    if (this.own.size === 0) {
      clearInterval(this.toucher);
      this.toucher = undefined;
    }
    await rm(path, { recursive: true, force: true });
  }

  /** What `use` makes of a path that is free, and gone afterwards. */
  async temporary<T>(use: (path: string) => Promise<T>): Promise<T> {
    const path = join(await this.make('incoming'), randomUUID());
    this.keep(path);
    try {
      return await use(path);
    } catch (error) {
      throw storeError(error, path);
    } finally {
      await this.disown(path);
    }
  }

  /** Removes what dead processes left on its way. */
  private async sweep(): Promise<void> {
    for (const { name } of await entries(this.path('incoming'))) {
      const path = this.path('incoming', name);
      const found = await stat(path).catch(() => undefined);
      if (found && ageMs(found) > deadMs) await rm(path, { recursive: true, force: true });
    }
  }

  /**
   * Lends the copy with this id, which `fill` makes where it is not here: it writes the files into a folder, checked.
   * @param prefix names it in errors
   * @param bytes how much that will be
   * @throws what `fill` throws; ResourceExhausted when the disk is full.
   */
  async lend(
    prefix: string,
    id: string,
    bytes: number,
    fill: (folder: string) => Promise<void>,
  ): Promise<FolderLease> {
    const holder = await this.hold(id);
    try {
      let entry = await this.whole(id);
      if (!entry) {
        await this.locked(id, async () => {
          entry = await this.whole(id);
          if (entry) return;
          // What lies there was changed by others.
          await this.moveOut(id);
          await this.evict(bytes);
          entry = await this.fetch(id, fill).catch(async (error) => {
            if (!(error instanceof ResourceExhausted)) throw error;
            // The disk has less room than the cache may take.
            await this.evict(Infinity);
            return this.fetch(id, fill);
          });
        });
      }
      return this.lease(prefix, id, holder, entry!);
    } catch (error) {
      await this.disown(holder);
      throw error;
    }
  }

  private lease(prefix: string, id: string, holder: string, entry: Entry): FolderLease {
    let released: Promise<void> | undefined;
    const release = () => {
      released ??= this.disown(holder).then(() => this.evict(0));
      return released;
    };
    const intact = async () => {
      if (!(await this.isUnchanged(id, entry))) throw replaced(prefix);
    };
    return { path: this.path('entries', id, 'files'), intact, release, [Symbol.asyncDispose]: release };
  }

  private async isUnchanged(id: string, { files }: Entry): Promise<boolean> {
    const folder = this.path('entries', id, 'files');
    for (const [path, identity] of Object.entries(files))
      if ((await identityOf(join(folder, path)).catch(() => '')) !== identity) return false;
    return (await filesBelow(folder)).length === Object.keys(files).length;
  }

  private async entry(id: string): Promise<Entry | undefined> {
    try {
      return JSON.parse(await readFile(this.path('entries', id, 'entry.json'), 'utf8'));
    } catch (error) {
      if (isAbsent(error) || error instanceof SyntaxError) return undefined;
      throw storeError(error, this.path('entries', id));
    }
  }

  private async whole(id: string): Promise<Entry | undefined> {
    const entry = await this.entry(id);
    return entry && (await this.isUnchanged(id, entry)) ? entry : undefined;
  }

  /** The file that holds it. */
  private async hold(id: string): Promise<string> {
    const holder = this.path('holders', id, randomUUID());
    for (;;) {
      const folder = await this.make('holders', id);
      try {
        await writeFile(holder, '');
        if (!(await this.isFresh(join(folder, going), markMs))) break;
        await rm(holder, { force: true });
      } catch (error) {
        // The folder went with an entry.
        if (!isAbsent(error)) throw storeError(error, holder);
      }
      await this.clock.sleep(lookMs);
    }
    this.keep(holder);
    return holder;
  }

  /** Whether a mark or lock is there and was touched lately. */
  private async isFresh(path: string, forMs: number): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    return found !== undefined && ageMs(found) < forMs;
  }

  /** One process at a time fetches an entry; others wait for what it makes. */
  private async locked(id: string, work: () => Promise<void>): Promise<void> {
    const lock = join(await this.make('incoming'), `${id}.lock`);
    for (;;) {
      try {
        await (await open(lock, 'wx')).close();
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw storeError(error, lock);
      }
      if (await this.isFresh(lock, lockMs)) await this.clock.sleep(lookMs);
      else await rm(lock, { force: true });
    }
    this.keep(lock);
    try {
      await work();
    } finally {
      await this.disown(lock);
    }
  }

  private fetch(id: string, fill: (folder: string) => Promise<void>): Promise<Entry> {
    return this.temporary(async (fresh) => {
      const folder = join(fresh, 'files');
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await fill(folder);
      const paths = (await filesBelow(folder)).map((path) => relative(folder, path)).sort();
      const files: Record<string, string> = {};
      let bytes = 0;
      for (const path of paths) {
        await syncToDisk(join(folder, path));
        files[path] = await identityOf(join(folder, path));
        bytes += (await stat(join(folder, path))).size;
      }
      const entry: Entry = { bytes, files };
      await writeFile(join(fresh, 'entry.json'), JSON.stringify(entry));
      for (const path of [join(fresh, 'entry.json'), folder, fresh]) await syncToDisk(path);
      const place = await this.make('entries');
      await rename(fresh, join(place, id)).catch((error) => {
        // One whose lock was taken for a dead one's was faster; its copy is as good.
        if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
      });
      await syncToDisk(place);
      return (await this.whole(id)) ?? entry;
    });
  }

  private moveOut(id: string): Promise<void> {
    return this.temporary(async (out) => {
      await rename(this.path('entries', id), out).catch((error) => {
        if (!isAbsent(error)) throw error;
      });
    });
  }

  /** Bytes of the entries, and when each was last lent or given back; longest ago first. */
  private async used() {
    const found = await entries(this.path('entries'));
    const known = await Promise.all(
      found.map(async ({ name }) => ({
        id: name,
        bytes: (await this.entry(name))?.bytes ?? 0,
        // Its holders come and go in there.
        lastMs: (await stat(this.path('holders', name)).catch(() => undefined))?.mtimeMs ?? 0,
      })),
    );
    return known.sort((a, b) => a.lastMs - b.lastMs);
  }

  /** Removes entries that nobody holds until so many bytes more keep the limit. */
  private async evict(moreBytes: number): Promise<void> {
    const used = await this.used();
    let total = used.reduce((sum, { bytes }) => sum + bytes, moreBytes);
    for (const { id, bytes } of used) {
      if (total <= this.options.limitBytes) return;
      if (await this.evictOne(id)) total -= bytes;
    }
  }

  private async evictOne(id: string): Promise<boolean> {
    const folder = await this.make('holders', id);
    const mark = join(folder, going);
    try {
      if (!(await this.isFresh(mark, markMs))) await rm(mark, { force: true });
      await (await open(mark, 'wx')).close();
    } catch (error) {
      // Another process is at it.
      if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw storeError(error, mark);
    }
    try {
      if (await this.isHeld(folder)) return false;
      await this.moveOut(id);
      return true;
    } finally {
      await rm(mark, { force: true });
      // Stays where somebody has come meanwhile.
      await rmdir(folder).catch(() => {});
    }
  }

  private async isHeld(folder: string): Promise<boolean> {
    for (const { name } of await entries(folder)) {
      if (name === going) continue;
      const holder = join(folder, name);
      const found = await stat(holder).catch(() => undefined);
      if (!found) continue;
      if (!this.isDead(holder, ageMs(found))) return true;
      await rm(holder, { force: true });
    }
    return false;
  }

  private isDead(holder: string, age: number): boolean {
    const since = this.suspects.get(holder);
    if (age < deadMs) this.suspects.delete(holder);
    else if (since === undefined) this.suspects.set(holder, this.clock.now());
    else if (this.clock.now() - since > secondLookMs) return this.suspects.delete(holder);
    return false;
  }
}

/** The id of a content that these words tell from others. */
export function entryId(...words: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(words)).digest('hex');
}
