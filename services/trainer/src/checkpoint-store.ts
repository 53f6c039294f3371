/** Checkpoints of a trial in the object store, so that its next attempt goes on from them on any machine. */
import { cp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DataLoss, makeFolder } from '@emotune/base';
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

  /** The names of those that are stored, oldest first. */
  private async names(): Promise<string[]> {
    const stored = await this.objects.list(`${this.prefix}/`);
    return [...new Set(stored.map(({ key }) => key.slice(this.prefix.length + 1).split('/')[0]))].sort();
  }

  /** Copies what is stored into a local folder, which is made. What is damaged is told and forgotten. */
  async restore(folder: string, damaged: (error: DataLoss) => void): Promise<void> {
    await makeFolder(folder);
    for (const name of await this.names()) {
      const place = `${this.prefix}/${name}`;
      try {
        const stored = await this.objects.folder(place);
        await cp(stored.path, join(folder, name), { recursive: true }).finally(() => stored.release());
      } catch (error) {
        if (!(error instanceof DataLoss)) throw error;
        damaged(error);
        await this.objects.delete(place);
      }
    }
  }

  /** Stores one checkpoint's folder and forgets all but the `kept` newest. Its place in the object store. */
  async store(folder: string, kept: number): Promise<string> {
    const place = `${this.prefix}/${basename(folder)}`;
    await this.objects.putFolder(place, folder, 'manifest.json');
    for (const old of (await this.names()).slice(0, -kept))
      await this.objects.delete(`${this.prefix}/${old}`);
    return place;
  }

  /** Forgets all of them: the trial has ended. */
  clear(): Promise<void> {
    return this.objects.delete(this.prefix);
  }
}
