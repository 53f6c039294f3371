/** The object store as a port: artifacts by key, written once and whole. Keys are paths with "/" and no leading "/". */

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
}

/** A local folder that stays as it is until it is released. `await using` releases it. */
export interface FolderLease extends AsyncDisposable {
  /** Read only: it may be the store itself. */
  readonly path: string;
  /** Nothing may be read or mapped from the folder any more: a store that keeps copies may remove it. Twice is harmless. */
  release(): Promise<void>;
}

export interface ObjectStore {
  /** Where the store lies, as `openObjectStore` takes it: what a trainer process is given. */
  readonly url: string;
  /**
   * Becomes visible whole or not at all; replaces an object of that key.
   * @throws InvalidArgument for a key that is none; ResourceExhausted when the disk is full; FailedPrecondition when
   * the store cannot be written.
   */
  put(key: string, data: Uint8Array | string): Promise<void>;
  /** @throws NotFound */
  get(key: string): Promise<Uint8Array>;
  exists(key: string): Promise<boolean>;
  /** Objects whose key begins with `prefix`, ordered by key. */
  list(prefix: string): Promise<ObjectInfo[]>;
  /** Removes the object `prefix` and every object below `prefix/`; none is no error. */
  delete(prefix: string): Promise<void>;
  /** Copies every file below a local folder to `prefix/…`; the object `prefix/<last>` (if named) becomes visible last. */
  putFolder(prefix: string, folder: string, last?: string): Promise<void>;
  /**
   * A local folder that holds the objects below `prefix`, for code that maps files: for as long as it is not released.
   * @throws NotFound when there are none.
   */
  folder(prefix: string): Promise<FolderLease>;
}
