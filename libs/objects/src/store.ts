/** The object store as a port: artifacts by key, written once and whole. Keys are paths with "/" and no leading "/". */

export interface ObjectStat {
  readonly bytes: number;
  /** When it was put there, in milliseconds since 1970-01-01 UTC. */
  readonly putMs: number;
}

export interface ObjectInfo extends ObjectStat {
  readonly key: string;
}

/** A local folder that stays as it is until it is released. `await using` releases it. */
export interface FolderLease extends AsyncDisposable {
  /** Read only: it may be the store itself. */
  readonly path: string;
  /** Cheap where nothing has changed. @throws DataLoss when a file that may be mapped is damaged, or was replaced meanwhile. */
  intact(): Promise<void>;
  /** Nothing may be read or mapped from the folder any more: a store that keeps copies may remove it. Twice is harmless. */
  release(): Promise<void>;
}

/** What is read is what was put: `get`, `read` and `folder` throw DataLoss, which names each object that is damaged or gone. */
export interface ObjectStore {
  /** Where the store lies, as `openObjectStore` takes it: what a trainer process is given. */
  readonly url: string;
  /**
   * Becomes visible whole or not at all, also where the bytes come piece by piece and the last ones fail to; replaces an
   * object of that key.
   * @throws InvalidArgument for a key that is none; ResourceExhausted when the disk is full; FailedPrecondition when
   * the store cannot be written.
   */
  put(key: string, data: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<void>;
  /** @throws NotFound */
  get(key: string): Promise<Uint8Array>;
  /** The object's bytes piece by piece, without the first `from`; those of one object, whoever replaces it meanwhile. @throws NotFound */
  read(key: string, from?: number): AsyncIterable<Uint8Array>;
  /** Undefined when there is none. */
  stat(key: string): Promise<ObjectStat | undefined>;
  exists(key: string): Promise<boolean>;
  /** Bytes that can still be put there; Infinity where nobody knows. */
  freeBytes(): Promise<number>;
  /** Objects whose key begins with `prefix`, ordered by key. */
  list(prefix: string): Promise<ObjectInfo[]>;
  /** Removes the object `prefix` and every object below `prefix/`; none is no error. */
  delete(prefix: string): Promise<void>;
  /**
   * The same, but for what was put there at `putMs`, in milliseconds since 1970-01-01 UTC, or later: also where it takes the place
   * of what is about to be removed.
   */
  deleteOld(prefix: string, putMs: number): Promise<void>;
  /**
   * What writers that were killed left behind before it became visible, unchanged for so many milliseconds; removed where
   * that is asked for. Its keys are no objects' keys.
   */
  leftovers(unchangedMs: number, remove: boolean): Promise<ObjectInfo[]>;
  /** Copies every file below a local folder to `prefix/…`; the object `prefix/<last>` (if named) becomes visible last. */
  putFolder(prefix: string, folder: string, last?: string): Promise<void>;
  /**
   * A local folder that holds the objects below `prefix`, for code that maps files: for as long as it is not released.
   * @throws NotFound when there are none.
   */
  folder(prefix: string): Promise<FolderLease>;
}
