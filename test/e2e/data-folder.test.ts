/** Data folders that cannot be used, disks that are full, ports that are taken, and commands that share a folder. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Ended, emotune, serve } from './platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-folder-'));
const dataDir = join(folder, 'data');
const oneMebibyte = 2 ** 20;
const minutes = 120_000;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function list(dir: string): Promise<Ended> {
  return emotune(['--json', '--data-dir', dir, 'dataset', 'list']);
}

/** A command over a data folder, as a person calls it. */
function show(dir: string, options?: Parameters<typeof emotune>[1]): Promise<Ended> {
  return emotune(['--data-dir', dir, 'dataset', 'list'], options);
}

/** One line on stderr, nothing on stdout. */
function expectRefusal({ code, stdout, stderr }: Ended, exitCode: number, message: string): void {
  expect(stderr).toMatch(/^emotune: [^\n]*\n$/);
  expect(stderr).toContain(message);
  expect([code, stdout]).toEqual([exitCode, '']);
}

/** Skips a test that this machine cannot run. */
function skip(why: string): void {
  process.stderr.write(`skipped: ${why}\n`);
}

describe('a data folder', () => {
  it('below a file is refused: 2', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expectRefusal(
      await show(join(file, 'data')),
      2,
      '--data-dir: expected a folder that can be written, got',
    );
  });

  it.runIf(process.platform === 'linux')('where the system makes none is refused: 2', async () => {
    expectRefusal(
      await show('/proc/absent/data'),
      2,
      '--data-dir: expected a folder that can be written, got',
    );
  });

  it('of another user is refused: 2', async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o555);
    const isRoot = process.getuid?.() === 0;
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const [tool, ...options] = nobody;
    if (isRoot && spawnSync(tool, [...options, process.execPath, '--version']).status !== 0)
      return skip('unwritable data folder as an ordinary user: setpriv cannot run Node.js as nobody');
    chmodSync(folder, 0o755);
    const refused = await show(join(closed, 'data'), isRoot ? { launcher: nobody } : {});
    expectRefusal(refused, 2, `got ${join(closed, 'data')} (EACCES); make it writable or choose another`);
    expect(readdirSync(closed)).toEqual([]);
  });
});

describe('a full disk', () => {
  const mount = join(folder, 'small');
  /** Runs a command with a small disk of its own, which goes when the command ends. */
  const onDisk = (mebibytes: number) => [
    'unshare',
    '--mount',
    'sh',
    '-c',
    `mount -t tmpfs -o size=${mebibytes}m none '${mount}' && exec "$@"`,
    'sh',
  ];
  mkdirSync(mount);
  const [tool, ...options] = onDisk(1);
  const permitted = spawnSync(tool, [...options, 'true']).status === 0;
  if (!permitted) skip('full disk: this user may not mount one');

  it.runIf(permitted).each([
    ['where no database fits', 2, 'No space is left for the database in'],
    ['where no base model fits', 48, 'the disk is full (ENOSPC); free some space, then try again'],
  ])('%s: 4', async (_, mebibytes, message) => {
    expectRefusal(await show(join(mount, 'data'), { launcher: onDisk(mebibytes) }), 4, message);
  });

  it.runIf(permitted)(
    'keeps what was there, says what it waits for, leaves nothing half-written, and goes on once there is space',
    async () => {
      const spec = (name: string, sources: object[]) =>
        writeFileSync(join(folder, `${name}.yaml`), JSON.stringify({ name, sources }));
      spec('kept', [{ corpus: 'emotune-demo', limit: 20 }]);
      const noise = () => Math.random().toString(36).slice(2);
      const rows = Array.from(
        { length: 40_000 },
        (_, i) => `${i}\t${Array.from({ length: 20 }, noise).join(' ')}\t1`,
      );
      writeFileSync(join(folder, 'large.tsv'), ['id\ttext\tlabel', ...rows].join('\n'));
      const file = { path: 'large.tsv', name: 'large', task: 'sentiment-regression', scale: '0..1' };
      spec('large', [{ file }]);
      // Brings the file, so that it is there when the disk is full.
      spec('small', [{ file, limit: 10 }]);
      // A disk with room for the platform, until a file takes all but a little.
      const script = `
        mount -t tmpfs -o size=200m none '${mount}' || exit 99
        "$@" dataset create -f '${folder}/kept.yaml' >&2 || exit 98
        "$@" dataset create -f '${folder}/small.yaml' >&2 || exit 97
        dd if=/dev/zero of='${mount}/fill' bs=${oneMebibyte} 2> '${folder}/dd'
        truncate -s -4M '${mount}/fill'
        "$@" dataset create -f '${folder}/large.yaml' > '${folder}/said' 2>&1 &
        until grep -q 'waits for space' '${folder}/said'; do sleep 0.2; kill -0 $! || exit 96; done
        find '${mount}/data/objects' -type f -name train.parquet -path '*large*' >&2
        find '${mount}/data/objects/.incoming' -type f >&2
        rm '${mount}/fill'
        wait $!
        code=$?
        cat '${folder}/said' >&2
        "$@" --json dataset list
        exit $code`;
      const { code, stdout, stderr } = await emotune(['--data-dir', join(mount, 'data')], {
        launcher: ['unshare', '--mount', 'sh', '-c', script, 'sh'],
      });
      expect(stderr).toMatch(/waits for space: .*the disk is full/);
      expect([code, stderr]).toEqual([0, expect.not.stringContaining('.parquet\n')]);
      expect(JSON.parse(stdout)).toMatchObject([
        { name: 'kept', state: 'ready' },
        { name: 'large', state: 'ready' },
        { name: 'small', state: 'ready' },
      ]);
    },
    minutes,
  );
});

it(
  'a port that is taken is unavailable, and nothing goes on running: 4',
  async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const refused = await emotune(['--data-dir', dataDir, 'up', '--port', String(port)]);
    expectRefusal(refused, 4, `127.0.0.1:${port} cannot be listened on`);
    expect(existsSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'))).toBe(false);
    expect(existsSync(join(dataDir, 'platform.json'))).toBe(false);
  },
  minutes,
);

it(
  'commands at the same time take turns; while a platform serves the folder, they ask it',
  async () => {
    const both = await Promise.all([list(dataDir), list(dataDir)]);
    expect(both).toEqual([1, 2].map(() => ({ code: 0, stdout: '[]\n', stderr: '' })));
    const platform = await serve(dataDir);
    onTestFinished(() => platform.end('SIGKILL').then(() => {}));
    expect(await list(dataDir)).toEqual(both[0]);
    expectRefusal(
      await emotune(['--data-dir', dataDir, 'up', '--port', '0']),
      2,
      `${dataDir} is served already, on ${platform.address}`,
    );
    expect((await platform.end('SIGTERM')).code).toBe(0);
  },
  minutes,
);
