/** A server on this machine that answers as the Hugging Face Hub does, and the host that it sends large files from. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Files up to this size are kept in Git itself. */
const inGit = 1000;
/** Entries of one page of a list. */
const page = 2;

export interface HubRepository {
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** The token that may read it; without one everybody may. */
  readonly token?: string;
  /** Whether who asks has to accept its licence first. */
  readonly gated?: boolean;
}

/** What goes wrong with the next request whose path holds `at`. */
export interface HubFault {
  readonly at: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the connection after so many bytes of the body. */
  readonly breakAfter?: number;
  /** What is waited for before it ends, such as that they were kept: a client may drop what it has not read by then. */
  readonly breakWhen?: () => Promise<unknown>;
  /** Changes the first byte. */
  readonly damage?: boolean;
}

export interface HubRequest {
  /** Whether the large files' host was asked. */
  readonly cdn: boolean;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

interface Stored {
  readonly path: string;
  readonly content: Buffer;
  readonly oid: string;
  readonly lfs: string | undefined;
}

const sha = (algorithm: string, ...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

function storedOf({ files }: HubRepository): Stored[] {
  return Object.entries(files).map(([path, given]) => {
    const content = Buffer.from(given as string);
    const oid = sha('sha1', `blob ${content.length}\0`, content);
    return { path, content, oid, lfs: content.length > inGit ? sha('sha256', content) : undefined };
  });
}

async function listening(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const originOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

export class HubServer {
  /** By `models/org/name` or `datasets/org/name`, then by revision; each content of a revision is a commit. */
  private readonly repositories = new Map<string, Map<string, HubRepository>>();
  private readonly faults: HubFault[] = [];
  private readonly blobs = new Map<string, Buffer>();
  readonly requests: HubRequest[] = [];
  private hub!: Server;
  private cdn!: Server;

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    server.hub = await listening((request, response) => server.answerHub(request, response));
    server.cdn = await listening((request, response) => server.answerCdn(request, response));
    return server;
  }

  get endpoint(): string {
    return originOf(this.hub);
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** @param name models/org/name or datasets/org/name */
  put(name: string, repository: HubRepository, revision = 'main'): string {
    const revisions = this.repositories.get(name) ?? new Map<string, HubRepository>();
    this.repositories.set(name, revisions.set(revision, repository));
    for (const { content, lfs } of storedOf(repository)) if (lfs) this.blobs.set(lfs, content);
    return this.commitOf(name, revision);
  }

  fail(fault: HubFault): void {
    this.faults.push(fault);
  }

  /** What was asked for, of the Hub or of the large files' host. */
  paths(cdn: boolean): string[] {
    return this.requests.filter((request) => request.cdn === cdn).map(({ path }) => path);
  }

  private commitOf(name: string, revision: string): string {
    const { files } = this.repositories.get(name)!.get(revision)!;
    return sha('sha1', name, revision, ...Object.entries(files).flat());
  }

  private note(cdn: boolean, request: IncomingMessage): HubFault | undefined {
    const path = decodeURIComponent(request.url ?? '');
    const { authorization, range } = request.headers;
    this.requests.push({ cdn, path, authorization, range });
    const i = this.faults.findIndex(({ at }) => path.includes(at));
    return i < 0 ? undefined : this.faults.splice(i, 1)[0];
  }

  private answerHub(request: IncomingMessage, response: ServerResponse): unknown {
    const fault = this.note(false, request);
    const refuse = (status: number, code: string, more: Record<string, string> = {}) => {
      response.writeHead(status, { ...(code ? { 'x-error-code': code } : {}), ...more });
      return response.end(JSON.stringify({ error: code }));
    };
    if (fault?.status) return refuse(fault.status, '', { ...fault.headers });
    const url = new URL(request.url ?? '', this.endpoint);
    const parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
    const api = parts[0] === 'api';
    if (api) parts.shift();
    const kind = parts[0] === 'datasets' ? 'datasets' : 'models';
    if (parts[0] === 'datasets' || (api && parts[0] === 'models')) parts.shift();
    const [owner, short, verb, ...rest] = parts;
    const name = `${kind}/${owner}/${short}`;
    const revisions = this.repositories.get(name);
    const token = request.headers.authorization?.replace('Bearer ', '');
    // The Hub tells nobody who is a stranger whether a repository is there.
    if (!revisions) return token ? refuse(404, 'RepoNotFound') : refuse(401, 'RepoNotFound');
    const asked = rest[0] ?? 'main';
    const revision =
      [...revisions.keys()].find((known) => known === asked || this.commitOf(name, known) === asked) ?? '';
    const repository = revisions.get(revision);
    if (!repository) return refuse(404, 'RevisionNotFound');
    if (repository.token !== undefined && token !== repository.token)
      return repository.gated && verb === 'resolve'
        ? refuse(token ? 403 : 401, 'GatedRepo')
        : repository.gated
          ? this.answerApi(name, revision, verb, url, response)
          : refuse(401, 'RepoNotFound');
    if (verb !== 'resolve') return this.answerApi(name, revision, verb, url, response);
    const path = rest.slice(1).join('/');
    const file = storedOf(repository).find((one) => one.path === path);
    if (!file) return refuse(404, 'EntryNotFound');
    if (file.lfs) {
      response.writeHead(302, {
        location: `${originOf(this.cdn)}/${file.lfs}`,
        'x-linked-etag': `"${file.lfs}"`,
        'x-linked-size': String(file.content.length),
        'x-repo-commit': this.commitOf(name, revision),
      });
      return response.end();
    }
    return this.sendContent(file.content, `"${file.oid}"`, request, response, fault);
  }

  private answerApi(
    name: string,
    revision: string,
    verb: string,
    url: URL,
    response: ServerResponse,
  ): unknown {
    const repository = this.repositories.get(name)!.get(revision)!;
    const json = (body: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(200, { 'content-type': 'application/json', ...headers });
      return response.end(JSON.stringify(body));
    };
    if (verb === 'revision') {
      const id = name.slice(name.indexOf('/') + 1);
      const gated = repository.gated ? 'manual' : false;
      return json({
        _id: '1',
        id,
        sha: this.commitOf(name, revision),
        private: false,
        gated,
        lastModified: 0,
      });
    }
    const files = storedOf(repository).map(({ path, content, oid, lfs }) => ({
      type: 'file',
      path,
      size: content.length,
      oid,
      ...(lfs ? { lfs: { oid: lfs, size: content.length, pointerSize: 130 } } : {}),
    }));
    const from = Number(url.searchParams.get('cursor') ?? 0);
    url.searchParams.set('cursor', String(from + page));
    const more = from + page < files.length ? { link: `<${url.href}>; rel="next"` } : {};
    return json(files.slice(from, from + page), more);
  }

  private answerCdn(request: IncomingMessage, response: ServerResponse): void {
    const fault = this.note(true, request);
    if (fault?.status) {
      response.writeHead(fault.status, { ...fault.headers });
      response.end();
      return;
    }
    const hash = (request.url ?? '').slice(1);
    this.sendContent(this.blobs.get(hash)!, `"${hash}"`, request, response, fault);
  }

  private sendContent(
    content: Buffer,
    etag: string,
    request: IncomingMessage,
    response: ServerResponse,
    fault: HubFault | undefined,
  ): void {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0 && from >= content.length) {
      response.writeHead(416);
      response.end();
      return;
    }
    const body = Buffer.from(content.subarray(from));
    if (fault?.damage) body[0] ^= 1;
    response.writeHead(from > 0 ? 206 : 200, {
      etag,
      'content-length': String(body.length),
      ...(from > 0 ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    });
    if (fault?.breakAfter === undefined) {
      response.end(body);
      return;
    }
    // What was written comes through before the end does.
    response.flushHeaders();
    response.write(body.subarray(0, fault.breakAfter), async () => {
      await fault.breakWhen?.();
      response.socket?.end();
    });
  }
}
