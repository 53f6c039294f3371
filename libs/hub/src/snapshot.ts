/**
 * Files of a repository of the Hugging Face Hub, in the cache that its own tools share: `blobs/` by content, `refs/` by the name
 * of a revision, `snapshots/<commit>/` with links to blobs. A download goes on where it stopped and becomes visible only when it
 * is whole and has the checksum that the Hub tells.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import {
  DataLoss,
  FailedPrecondition,
  NotFound,
  openRegularFile,
  piecesOf,
  policyOf,
  sha256OfFile,
  Unavailable,
} from '@emotune/base';
import { datasetInfo, getRepoFolderName, listFiles, modelInfo } from '@huggingface/hub';
import { licenceOfCard } from './card.js';
import { fetchPart } from './fetch-part.js';
import { hubFetch } from './hub-fetch.js';
import { type HubId, hubIdText } from './hub-id.js';
import type { HubSettings } from './settings.js';

const connectMs = 30_000;
/** Tries of one file that bring nothing further. */
const mostFailures = 5;
const commitPattern = /^[0-9a-f]{40}$/;

export interface SnapshotFile {
  /** Within the repository, with "/". */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Snapshot {
  readonly commit: string;
  /** With the files; others of earlier calls may lie in it. */
  readonly folder: string;
  readonly files: readonly SnapshotFile[];
  /** As the card declares it; empty where it declares none. */
  readonly licence: string;
}

export interface SnapshotOptions {
  readonly signal?: AbortSignal;
  /** Bytes so far, of all. */
  readonly onProgress?: (path: string, done: number, total: number) => void;
}

/** A file as the Hub lists it. */
interface Listed {
  readonly path: string;
  readonly bytes: number;
  /** Hash of Git's blob. */
  readonly oid: string;
  /** SHA-256 of the content, where it is kept outside of Git. */
  readonly lfs?: string;
}

/** Downloads that are under way, by the blob that they make: who asks for the same one waits for it. */
const underWay = new Map<string, Promise<void>>();

/** Hash of a file as Git's blob. */
async function gitHash(path: string, bytes: number): Promise<string> {
  const hash = createHash('sha1').update(`blob ${bytes}\0`);
  const { handle } = await openRegularFile(path);
  try {
    for await (const piece of piecesOf(handle, path)) hash.update(piece);
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

/** The hash of a file of the kind by which the Hub lists it. */
async function hashOf(path: string, { lfs, bytes }: Pick<Listed, 'lfs' | 'bytes'>): Promise<string> {
  return lfs === undefined ? gitHash(path, bytes) : sha256OfFile(path);
}

async function filesBelow(folder: string, below = ''): Promise<string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => []);
  const nested = entries.map((entry) => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, path) : [path];
  });
  return (await Promise.all(nested)).flat().sort();
}

class Repository {
  private readonly folder: string;
  private readonly fetch: typeof fetch;

  constructor(
    private readonly settings: HubSettings,
    private readonly id: HubId,
    private readonly options: SnapshotOptions,
  ) {
    this.folder = join(settings.cacheDir, getRepoFolderName({ type: id.kind, name: id.repo }));
    this.fetch = hubFetch(settings, id, options.signal);
  }

  private get shared() {
    return { hubUrl: this.settings.endpoint, fetch: this.fetch, revision: this.id.revision };
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that the revision was when it was last fetched; empty where it never was. */
  async cachedCommit(): Promise<string> {
    const { revision } = this.id;
    if (commitPattern.test(revision)) return revision;
    return (await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '')).trim();
  }

  /** @throws as `hubFetch` */
  async commit(): Promise<string> {
    const { kind, repo, revision } = this.id;
    const ask = { ...this.shared, name: repo, additionalFields: ['sha'] as ['sha'] };
    const { sha } = kind === 'dataset' ? await datasetInfo(ask) : await modelInfo(ask);
    if (!commitPattern.test(sha))
      throw new Unavailable(
        `${hubIdText(this.id)}: expected a commit from the Hub, got ${JSON.stringify(sha)}`,
      );
    if (revision !== sha) {
      const ref = join(this.folder, 'refs', revision);
      await mkdir(dirname(ref), { recursive: true });
      const temporary = `${ref}.${randomUUID()}.tmp`;
      await writeFile(temporary, sha);
      await rename(temporary, ref);
    }
    return sha;
  }

  /** @throws as `hubFetch` */
  async list(commit: string): Promise<Listed[]> {
    const { kind, repo } = this.id;
    const found: Listed[] = [];
    const ask = { ...this.shared, repo: { type: kind, name: repo }, recursive: true, revision: commit };
    for await (const { type, path, size, oid = '', lfs } of listFiles(ask)) {
      // A path that leads out of the folder belongs to no repository.
      if (type !== 'file' || path.split('/').some((part) => part === '' || part === '.' || part === '..'))
        continue;
      found.push({ path, bytes: lfs?.size ?? size, oid, ...(lfs ? { lfs: lfs.oid } : {}) });
    }
    return found.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Whether a cached file has the content that the Hub lists. */
  private async isWhole(path: string, file: Listed): Promise<boolean> {
    const { size } = await stat(path).catch(() => ({ size: -1 }));
    return size === file.bytes && (await hashOf(path, file)) === (file.lfs ?? file.oid);
  }

  /** Of a file that cannot be fetched again. @throws DataLoss when it is not what the name of its blob says. */
  async expectWhole(path: string, commit: string): Promise<void> {
    const pointer = join(this.snapshot(commit), path);
    const blob = basename(await readlink(pointer).catch(() => ''));
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(blob)) return;
    const { size } = await stat(pointer).catch(() => ({ size: 0 }));
    const file = blob.length === 64 ? { lfs: blob, bytes: size } : { bytes: size };
    const got = await hashOf(pointer, file).catch(() => 'nothing');
    if (got !== blob)
      throw new DataLoss(
        `${pointer}: expected the hash ${blob}, got ${got}: damaged, and not used; fetch it again without HF_HUB_OFFLINE`,
      );
  }

  /** Makes sure that the snapshot has a file. @throws as `hubFetch`; FailedPrecondition when it stays damaged. */
  async fetchFile(file: Listed, commit: string): Promise<void> {
    const pointer = join(this.snapshot(commit), file.path);
    if (await this.isWhole(pointer, file)) return;
    const blob = join(this.folder, 'blobs', file.lfs ?? file.oid);
    const running =
      underWay.get(blob) ??
      this.fetchBlob(file, commit, blob).finally(() => {
        underWay.delete(blob);
      });
    underWay.set(blob, running);
    await running;
    await mkdir(dirname(pointer), { recursive: true });
    await rm(pointer, { force: true });
    await symlink(relative(dirname(pointer), blob), pointer).catch(async (error) => {
      if (error.code === 'EEXIST') return;
      // File systems without links.
      await copyFile(blob, pointer);
    });
  }

  private async fetchBlob(file: Listed, commit: string, blob: string): Promise<void> {
    if (await this.isWhole(blob, file)) return;
    await rm(blob, { force: true });
    const { path, bytes, oid, lfs } = file;
    const { signal, onProgress } = this.options;
    const { endpoint } = this.settings;
    const { kind, repo } = this.id;
    const within = path.split('/').map(encodeURIComponent).join('/');
    const url = `${endpoint}/${kind === 'dataset' ? 'datasets/' : ''}${repo}/resolve/${commit}/${within}`;
    const part = `${blob}.incomplete`;
    const size = () =>
      stat(part).then(
        (s) => s.size,
        () => 0,
      );
    await mkdir(dirname(blob), { recursive: true });
    const progress = (done: number) => onProgress?.(path, done, bytes);
    let damaged = false;
    for (let failures = 0; ; ) {
      const before = await size();
      if (before > bytes) await rm(part, { force: true });
      try {
        if (before !== bytes)
          await fetchPart(url, part, { connectMs, fetch: this.fetch, onProgress: progress, signal });
        else if (bytes === 0) await writeFile(part, '');
      } catch (error) {
        if (signal?.aborted || !(error instanceof Unavailable)) throw error;
        failures = (await size()) > before ? 0 : failures + 1;
        if (failures >= mostFailures) throw error;
        continue;
      }
      const got = await size();
      if (got < bytes) {
        failures = got > before ? 0 : failures + 1;
        if (failures >= mostFailures)
          throw new Unavailable(
            `${url}: the connection broke after ${got} of ${bytes} bytes; try again to go on from there`,
          );
        continue;
      }
      const hash = await hashOf(part, file);
      const [kindOfHash, want] = lfs ? ['SHA-256', lfs] : ['Git hash', oid];
      if (hash === want && got === bytes) break;
      await rm(part, { force: true });
      // What an earlier try left may be what is wrong.
      if (damaged)
        throw new FailedPrecondition(
          `${url}: expected ${kindOfHash} ${want}, got ${hash}: the file is damaged on its way; try again, or another HF_ENDPOINT`,
        );
      damaged = true;
    }
    await rename(part, blob);
  }
}

/**
 * Fetches what is needed of a repository at a revision.
 * @param choose the needed ones among the paths of all files; it throws where there is nothing to use
 * @throws NotFound, FailedPrecondition (access, offline, damage), Unavailable; what `choose` throws.
 */
export async function fetchSnapshot(
  settings: HubSettings,
  id: HubId,
  choose: (paths: readonly string[]) => readonly string[],
  options: SnapshotOptions = {},
): Promise<Snapshot> {
  const repository = new Repository(settings, id, options);
  const wanted = (paths: readonly string[]) => {
    const chosen = choose(paths);
    return paths.includes('README.md') ? [...new Set(['README.md', ...chosen])] : chosen;
  };
  let [commit, paths]: [string, readonly string[]] = ['', []];
  const known = new Map<string, string>();
  if (settings.offline) {
    commit = await repository.cachedCommit();
    const cached = commit === '' ? [] : await filesBelow(repository.snapshot(commit));
    if (cached.length === 0)
      throw new NotFound(
        `${hubIdText(id)}: not in the cache ${settings.cacheDir}, and HF_HUB_OFFLINE is set; fetch it once without`,
      );
    paths = wanted(cached);
    for (const path of paths) await repository.expectWhole(path, commit);
  } else {
    commit = await repository.commit();
    const listed = await repository.list(commit);
    paths = wanted(listed.map(({ path }) => path));
    const files = listed.filter(({ path }) => paths.includes(path)).sort((a, b) => a.bytes - b.bytes);
    for (const file of files) {
      options.signal?.throwIfAborted();
      await repository.fetchFile(file, commit).catch((error) => {
        throw cacheError(error, settings);
      });
      if (file.lfs) known.set(file.path, file.lfs);
    }
  }
  const folder = repository.snapshot(commit);
  const files = await Promise.all(
    paths.map(async (path): Promise<SnapshotFile> => {
      const { size } = await stat(join(folder, path));
      return { path, bytes: size, sha256: known.get(path) ?? (await sha256OfFile(join(folder, path))) };
    }),
  );
  const card = paths.includes('README.md') ? await readFile(join(folder, 'README.md'), 'utf8') : '';
  return { commit, folder, files, licence: licenceOfCard(card) };
}

/** A failure of the cache's file system in our words; anything else as it is. */
function cacheError(error: unknown, { cacheDir }: HubSettings): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (policyOf(error).tellsUser || !(code === 'EACCES' || code === 'EPERM' || code === 'EROFS')) return error;
  return new FailedPrecondition(
    `${cacheDir}: the cache cannot be written (${code}); give the platform's user access, or set HF_HUB_CACHE to another folder`,
    { cause: error },
  );
}
