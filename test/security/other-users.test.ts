/** What other users of the machine can do with a platform: nothing. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unauthenticated } from '@emotune/base';
import type { data } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { tokenFile } from '@emotune/service/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emotune, type Served, serve } from '../e2e/platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-users-'));
const dataDir = join(folder, 'data');
/** As the platform of an ordinary login is started. */
const open = { launcher: ['sh', '-c', 'umask 022; exec "$@"', 'sh'] };
let platform: Served;
let token: string;

beforeAll(async () => {
  // A folder of a platform that closed nothing.
  mkdirSync(join(dataDir, 'objects'), { recursive: true });
  writeFileSync(join(dataDir, 'platform.log'), '');
  chmodSync(dataDir, 0o755);
  platform = await serve(dataDir, open);
  token = readFileSync(join(dataDir, tokenFile), 'utf8').trim();
});
afterAll(async () => {
  await platform?.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

function* entriesOf(path: string): Generator<string> {
  yield path;
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) yield* entriesOf(join(path, name));
}

it('no file and no folder of its data folder is open to them', () => {
  const found = [...entriesOf(dataDir)];
  expect(found.length).toBeGreaterThan(100);
  expect(found.filter((path) => (lstatSync(path).mode & 0o077) !== 0)).toEqual([]);
});

describe('without the token', () => {
  it.each([undefined, 'x'.repeat(43)])('its port answers nothing: %s', async (shown) => {
    const channel = Channel.connect(platform.address, { token: shown });
    const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
    await expect(datasets.call('listDatasets', {})).rejects.toBeInstanceOf(Unauthenticated);
    channel.close();
  });

  it('a command says what to do: 4', async () => {
    const list = ['--server', platform.address, 'dataset', 'list'];
    const asked = `emotune: ${platform.address} asks for a token, and`;
    const todo = 'name its data folder by --data-dir, or set EMOTUNE_TOKEN\n';
    const elsewhere = join(folder, 'elsewhere');
    expect(await emotune(['--data-dir', elsewhere, ...list])).toEqual({
      code: 4,
      stdout: '',
      stderr: `${asked} none was found in ${join(elsewhere, tokenFile)}: ${todo}`,
    });
    const { code, stderr } = await emotune(['--json', '--data-dir', dataDir, ...list], {
      env: { EMOTUNE_TOKEN: `${token}x` },
    });
    expect(code).toBe(4);
    expect(JSON.parse(stderr).error).toMatchObject({ status: 'UNAUTHENTICATED', exitCode: 4 });
    expect(stderr).not.toContain(token);
  });
});

it('a command with the token is answered, wherever it comes from', async () => {
  const answered = { code: 0, stdout: '[]\n', stderr: '' };
  const list = ['--json', 'dataset', 'list'];
  const named = ['--server', platform.address, ...list];
  expect(await emotune(['--data-dir', dataDir, ...list])).toEqual(answered);
  expect(await emotune(['--data-dir', dataDir, ...named])).toEqual(answered);
  expect(await emotune(named, { cwd: folder, env: { EMOTUNE_TOKEN: token } })).toEqual(answered);
  const env = { EMOTUNE_TOKEN_FILE: join(dataDir, tokenFile) };
  expect(await emotune(named, { cwd: folder, env })).toEqual(answered);
});

it.runIf(process.platform === 'linux')('the token stands in its file alone, and in no command line', () => {
  const holding = [...entriesOf(dataDir)].filter(
    (path) => lstatSync(path).isFile() && readFileSync(path).includes(token),
  );
  expect(holding).toEqual([join(dataDir, tokenFile)]);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // What has ended meanwhile has none.
    const read = () => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    };
    expect(read()).not.toContain(token);
  }
});

it('what a command writes for its user is as open as that user wants it', async () => {
  const out = join(folder, 'exported');
  const args = ['model', 'export', 'emotune-opt-4m', '--format', 'safetensors', '--out', out];
  const { code, stderr } = await emotune(['--data-dir', join(folder, 'own'), ...args], open);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  expect(statSync(out).mode & 0o777).toBe(0o755);
  for (const name of readdirSync(out)) expect(statSync(join(out, name)).mode & 0o777).toBe(0o644);
});
