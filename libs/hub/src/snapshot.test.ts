import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataLoss, FailedPrecondition, NotFound, sha256, Unavailable } from '@emotune/base';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { parseHubId } from './hub-id.js';
import { type HubSettings, hubSettings } from './settings.js';
import { fetchSnapshot } from './snapshot.js';
import { HubServer } from './testing.js';

const weights = Buffer.alloc(300_000, 'weights of a model ');
const card = '---\nlicense: apache-2.0\n---\n# Tiny\n';
const files = { 'README.md': card, 'config.json': '{}', 'model.safetensors': weights, 'unwanted.bin': 'x' };

let server: HubServer;
let folder: string;
beforeEach(async () => {
  server = await HubServer.start();
  folder = mkdtempSync(join(tmpdir(), 'emotune-hub-'));
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const settings = (more: Record<string, string> = {}): HubSettings => ({
  ...hubSettings({ HF_ENDPOINT: server.endpoint, HF_HOME: folder, ...more }),
  pauseMs: 1,
});
const needed = (paths: readonly string[]) => paths.filter((path) => /config\.json|safetensors/.test(path));
const fetchIt = (id = 'hf:someone/tiny', more = settings(), options = {}) =>
  fetchSnapshot(more, parseHubId(id, 'source'), needed, options);

it('fetches what is needed into the layout that Hugging Face’s own tools read, once', async () => {
  const commit = server.put('models/someone/tiny', { files });
  const seen: number[] = [];
  const snapshot = await fetchIt(undefined, undefined, {
    onProgress: (path: string, done: number) => path === 'model.safetensors' && seen.push(done),
  });
  const repository = join(folder, 'hub', 'models--someone--tiny');
  expect(snapshot).toEqual({
    commit,
    folder: join(repository, 'snapshots', commit),
    licence: 'apache-2.0',
    files: [
      { path: 'README.md', bytes: card.length, sha256: sha256(card) },
      { path: 'config.json', bytes: 2, sha256: sha256('{}') },
      { path: 'model.safetensors', bytes: weights.length, sha256: sha256(weights) },
    ],
  });
  expect(readFileSync(join(repository, 'refs', 'main'), 'utf8')).toBe(commit);
  const pointer = join(snapshot.folder, 'model.safetensors');
  expect(readlinkSync(pointer)).toBe(`../../blobs/${sha256(weights)}`);
  expect(lstatSync(join(repository, 'blobs', sha256(weights))).size).toBe(weights.length);
  expect(readFileSync(pointer)).toEqual(weights);
  expect(readdirSync(join(repository, 'blobs')).filter((name) => name.includes('.'))).toEqual([]);
  expect(seen.at(-1)).toBe(weights.length);
  // The names of blobs in Git are those that Git gives: `git hash-object` of {}.
  expect(readdirSync(join(repository, 'blobs'))).toContain('9e26dfeeb6e641a33dae4961196235bdb965b21b');
  const asked = server.requests.length;
  expect(await fetchIt()).toEqual(snapshot);
  expect(server.requests.slice(asked).every(({ path }) => path.startsWith('/api/'))).toBe(true);
});

it('fetches again what is damaged in the cache, and offline names it', async () => {
  server.put('models/someone/tiny', { files });
  const whole = await fetchIt();
  const offline = settings({ HF_HUB_OFFLINE: '1' });
  for (const file of ['config.json', 'model.safetensors']) {
    const path = join(whole.folder, file);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(path, bytes);
    const error = await fetchIt(undefined, offline).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(DataLoss);
    expect((error as Error).message).toContain(`${path}: expected the hash `);
    expect(await fetchIt()).toEqual(whole);
    expect(sha256(readFileSync(path))).toBe(whole.files.find((f) => f.path === file)!.sha256);
    expect(await fetchIt(undefined, offline)).toEqual(whole);
  }
});

it('takes a branch, a tag with slashes and a commit, and files in folders', async () => {
  server.put('models/someone/tiny', { files: { 'config.json': '{"at":"main"}' } });
  const commit = server.put(
    'models/someone/tiny',
    { files: { 'onnx/config.json': '{"at":"pr"}' } },
    'refs/pr/1',
  );
  const pull = await fetchIt('hf:someone/tiny@refs/pr/1');
  expect(pull.commit).toBe(commit);
  expect(readFileSync(join(pull.folder, 'onnx', 'config.json'), 'utf8')).toBe('{"at":"pr"}');
  expect(await fetchIt(`hf:someone/tiny@${commit}`)).toEqual(pull);
  await expect(fetchIt('hf:someone/tiny@v9')).rejects.toThrow(/someone\/tiny has no revision v9/);
});

it('goes on where a connection broke', async () => {
  server.put('models/someone/tiny', { files });
  const hash = sha256(weights);
  const part = join(folder, 'hub', 'models--someone--tiny', 'blobs', `${hash}.incomplete`);
  const kept = () => vi.waitFor(() => expect(statSync(part).size).toBeGreaterThan(0), { timeout: 60_000 });
  server.fail({ at: hash, breakAfter: 100_000, breakWhen: kept });
  server.fail({ at: hash, breakAfter: 50_000 });
  const { folder: at } = await fetchIt();
  expect(readFileSync(join(at, 'model.safetensors'))).toEqual(weights);
  const ranges = server.requests.filter(({ cdn }) => cdn).map(({ range }) => range);
  expect(ranges[0]).toBeUndefined();
  expect(ranges.length).toBe(3);
  expect(Number(/bytes=(\d+)-/.exec(ranges[1]!)![1])).toBeGreaterThan(0);
});

it('goes on with what an earlier process left, and gives up on a host that brings nothing further', async () => {
  server.put('models/someone/tiny', { files });
  const hash = sha256(weights);
  for (let i = 0; i < 9; i++) server.fail({ at: hash, breakAfter: 0 });
  await expect(fetchIt()).rejects.toBeInstanceOf(Unavailable);
  const part = join(folder, 'hub', 'models--someone--tiny', 'blobs', `${hash}.incomplete`);
  writeFileSync(part, weights.subarray(0, 299_000));
  const before = server.requests.length;
  while (server.requests.filter(({ cdn }) => cdn).length < 9) await fetchIt().catch(() => {});
  const { folder: at } = await fetchIt();
  expect(readFileSync(join(at, 'model.safetensors'))).toEqual(weights);
  const ranges = server.requests.slice(before).flatMap(({ cdn, range }) => (cdn ? [range] : []));
  expect(new Set(ranges)).toEqual(new Set(['bytes=299000-']));
});

it('fetches again what has a wrong checksum, and refuses it the second time', async () => {
  server.put('models/someone/tiny', { files });
  const hash = sha256(weights);
  server.fail({ at: hash, damage: true });
  const { folder: at } = await fetchIt();
  expect(readFileSync(join(at, 'model.safetensors'))).toEqual(weights);
  server.put('models/someone/other', { files: { 'config.json': '{"small":1}' } });
  server.fail({ at: 'config.json', damage: true });
  server.fail({ at: 'config.json', damage: true });
  const refused = await fetchIt('hf:someone/other').catch((error) => error);
  expect(refused).toBeInstanceOf(FailedPrecondition);
  expect(refused.message).toMatch(/expected Git hash [0-9a-f]{40}, got [0-9a-f]{40}/);
  const blobs = join(folder, 'hub', 'models--someone--other', 'blobs');
  expect(readdirSync(blobs)).toEqual([]);
});

it('waits as long as the Hub asks for, and says when it asks for too long', async () => {
  server.put('models/someone/tiny', { files });
  server.fail({ at: '/api/models/someone/tiny/revision', status: 429, headers: { 'retry-after': '0' } });
  server.fail({ at: '/resolve/', status: 503 });
  await fetchIt();
  server.fail({ at: '/api/', status: 429, headers: { 'retry-after': '4000' } });
  await expect(fetchIt()).rejects.toThrow(
    'hf:someone/tiny@main: too many requests to the Hub (429); try again in 4000 s; with HF_TOKEN set the Hub allows more requests',
  );
});

it('shows its token to the Hub alone, and never tells it', async () => {
  const token = 'hf_0123456789';
  server.put('models/someone/secret', { files, token });
  const without = await fetchIt('hf:someone/secret').catch((error) => error);
  expect(without).toBeInstanceOf(FailedPrecondition);
  expect(without.message).toContain('set HF_TOKEN where the platform runs');
  await fetchIt('hf:someone/secret', settings({ HF_TOKEN: token }));
  const asked = server.requests.slice(1);
  expect(
    asked.filter(({ cdn }) => !cdn).every(({ authorization }) => authorization === `Bearer ${token}`),
  ).toBe(true);
  expect(asked.filter(({ cdn }) => cdn).map(({ authorization }) => authorization)).toEqual([undefined]);
  const wrong = await fetchIt('hf:someone/secret', settings({ HF_TOKEN: 'hf_wrong' })).catch(
    (error) => error,
  );
  expect(wrong.message).toContain('the Hub refuses the access token (401)');
  expect(wrong.message).not.toContain('hf_wrong');
});

it('takes the token that is stored on the machine', async () => {
  writeFileSync(join(folder, 'token'), 'hf_stored\n');
  server.put('models/someone/secret', { files, token: 'hf_stored' });
  expect((await fetchIt('hf:someone/secret')).files).toHaveLength(3);
});

it('says what to do where a licence has to be accepted', async () => {
  server.put('models/someone/gated', { files, token: 'hf_accepted', gated: true });
  const page = `${server.endpoint}/someone/gated`;
  await expect(fetchIt('hf:someone/gated')).rejects.toThrow(`accept the licence at ${page} and set HF_TOKEN`);
  await expect(fetchIt('hf:someone/gated', settings({ HF_TOKEN: 'hf_other' }))).rejects.toThrow(
    `accept the licence at ${page} with the account of HF_TOKEN`,
  );
});

it('names what is not there', async () => {
  const stranger = await fetchIt('hf:nobody/nothing').catch((error) => error);
  expect(stranger).toBeInstanceOf(FailedPrecondition);
  expect(stranger.message).toContain('check its name');
  await expect(fetchIt('hf:nobody/nothing', settings({ HF_TOKEN: 'hf_x' }))).rejects.toBeInstanceOf(NotFound);
});

it('offline, uses what was fetched before and nothing else', async () => {
  const commit = server.put('models/someone/tiny', { files });
  const before = await fetchIt();
  const asked = server.requests.length;
  const offline = settings({ HF_HUB_OFFLINE: '1' });
  expect(await fetchIt(undefined, offline)).toEqual(before);
  expect(await fetchIt(`hf:someone/tiny@${commit}`, offline)).toEqual(before);
  await expect(fetchIt('hf:someone/other', offline)).rejects.toThrow(
    /not in the cache .* HF_HUB_OFFLINE is set/,
  );
  expect(server.requests.length).toBe(asked);
});

it('a Hub that cannot be reached is told from one that refuses', async () => {
  const gone = settings({ HF_ENDPOINT: 'http://127.0.0.1:9' });
  const error = await fetchIt(undefined, gone).catch((e) => e);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toContain('set HF_HUB_OFFLINE=1 to use what was fetched before');
});

it('ends when it is told to', async () => {
  server.put('models/someone/tiny', { files });
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  await expect(fetchIt(undefined, undefined, { signal: stop.signal })).rejects.toThrow('enough');
});

it('two that want the same at once fetch it once', async () => {
  server.put('models/someone/tiny', { files });
  const [one, other] = await Promise.all([fetchIt(), fetchIt()]);
  expect(one).toEqual(other);
  expect(server.paths(true)).toHaveLength(1);
});
