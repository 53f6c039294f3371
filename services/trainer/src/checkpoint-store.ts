/** Checkpoints of a trial in the object store, so that its next attempt goes on from them on any machine. */
import { cp } from 'node:fs/promises';
import { basename } from 'node:path';
import { makeFolder } from '@emotune/base';
import type { ObjectStore } from '@emotune/objects';

export class CheckpointStore {
  constructor(
    private readonly objects: ObjectStore,
    private readonly prefix: string,
  ) {}

  /** A store within this one. */
  below(name: string): CheckpointStore {
    return new CheckpointStore(this.objects, `${this.prefix}/${name}`);
  }

  /** Copies what is stored into a local folder, which is made. */
  async restore(folder: string): Promise<void> {
    await makeFolder(folder);
    if ((await this.objects.list(`${this.prefix}/`)).length === 0) return;
    const stored = await this.objects.folder(this.prefix);
    try {
      await cp(stored.path, folder, { recursive: true });
    } finally {
      await stored.release();
    }
  }

  /** Stores one checkpoint's folder and forgets all but the `kept` newest. Its place in the object store. */
  async store(folder: string, kept: number): Promise<string> {
    const place = `${this.prefix}/${basename(folder)}`;
    await this.objects.putFolder(place, folder, 'manifest.json');
    const stored = await this.objects.list(`${this.prefix}/`);
    const names = [...new Set(stored.map(({ key }) => key.slice(this.prefix.length + 1).split('/')[0]))];
    for (const old of names.sort().slice(0, -kept)) await this.objects.delete(`${this.prefix}/${old}`);
    return place;
  }

  /** Forgets all of them: the trial has ended. */
  clear(): Promise<void> {
    return this.objects.delete(this.prefix);
  }
}
