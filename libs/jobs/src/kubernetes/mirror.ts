/**
 * What the API server has of one kind of object, kept current: listed, then watched from there. Told that its place in the
 * history is gone (410) it lists again, so it does after `resyncMs` in any case, and whatever breaks is begun again.
 */
import type { Clock } from '@emotune/base';
import { type Api, ApiError, pauseMs } from './api.js';

/** Any object of Kubernetes. */
interface Kept {
  readonly metadata?: { readonly uid?: string; readonly resourceVersion?: string };
}

interface Listed<T> {
  readonly items?: readonly T[];
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T & { readonly code?: number; readonly reason?: string; readonly message?: string };
}

export interface MirrorOptions<T> {
  readonly api: Api;
  readonly clock: Clock;
  readonly path: string;
  readonly selector: string;
  /** What is kept of an object; left out: all of it. */
  readonly kept?: (object: T) => T;
  /** There is this one, or it has become this. */
  readonly onObject: (object: T) => void;
  /** Nothing of it is there any more; as it was last known. */
  readonly onGone: (object: T) => void;
  /** All has been listed. */
  readonly onListed: () => void;
  readonly onFailure: (error: unknown) => void;
}

const pageSize = 500;
const resyncMs = 10 * 60_000;
/** The API server ends a watch after this. */
const watchSeconds = 290;
/** It says something at least once a minute. */
const silenceMs = 90_000;

function whole<T>(object: T): T {
  return object;
}

export class Mirror<T extends Kept> {
  private readonly objects = new Map<string, T>();
  private version: string | undefined;
  private listedAt = 0;
  /** Since something was last heard. */
  private failures = 0;

  constructor(private readonly options: MirrorOptions<T>) {}

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, onFailure } = this.options;
    while (!signal.aborted) {
      try {
        if (this.version === undefined || clock.now() - this.listedAt > resyncMs) await this.list(signal);
        await this.watch(signal);
        this.failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 410) this.version = undefined;
        else onFailure(error);
        await clock.sleep(pauseMs(this.failures++), signal).catch(() => {});
      }
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const { api, clock, path, selector: labelSelector, kept = whole, onListed } = this.options;
    const found = new Map<string, T>();
    let version = '';
    for (let next: string | undefined = ''; next !== undefined; ) {
      const query = { labelSelector, limit: pageSize, ...(next === '' ? {} : { continue: next }) };
      const page: Listed<T> = await api.json('GET', path, { query, signal });
      for (const item of page.items ?? []) found.set(item.metadata!.uid!, kept(item));
      version = page.metadata.resourceVersion;
      next = page.metadata.continue || undefined;
    }
    for (const [uid, object] of this.objects) if (!found.has(uid)) this.drop(object);
    for (const object of found.values()) this.take(object);
    this.version = version;
    this.listedAt = clock.now();
    onListed();
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const { api, path, selector: labelSelector, kept = whole } = this.options;
    const silence = new AbortController();
    const both = AbortSignal.any([signal, silence.signal]);
    let timer: NodeJS.Timeout | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Error('the API server has gone silent')), silenceMs);
    };
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector,
      resourceVersion: this.version!,
      timeoutSeconds: watchSeconds,
    };
    try {
      heard();
      for await (const line of api.lines(path, query, both)) {
        heard();
        const { type, object }: WatchEvent<T> = JSON.parse(line);
        if (type === 'ERROR')
          throw new ApiError(object.code ?? 500, object.reason ?? '', object.message ?? '');
        this.failures = 0;
        if (type === 'DELETED') this.drop(kept(object));
        else if (type !== 'BOOKMARK') this.take(kept(object));
        this.version = object.metadata!.resourceVersion!;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  private take(object: T): void {
    const { uid, resourceVersion } = object.metadata!;
    const known = this.objects.get(uid!);
    if (known && known.metadata!.resourceVersion === resourceVersion) return;
    this.objects.set(uid!, object);
    this.options.onObject(object);
  }

  private drop(object: T): void {
    this.objects.delete(object.metadata!.uid!);
    this.options.onGone(object);
  }
}
