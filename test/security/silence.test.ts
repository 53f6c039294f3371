/** What a whole run does that nobody asked for: nothing is looked up or called beyond this machine, nothing is left about. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { inference } from '@emotune/proto';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { serve } from '../e2e/platform-process.js';
import { tune } from '../e2e/tune.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-silence-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const trace = join(folder, 'trace');
/** The tracer beside the program, which stays our child and gets our signals. */
const strace = ['strace', '-D', '-f', '--seccomp-bpf', '-qq', '-e', 'trace=connect,sendto,sendmsg,sendmmsg'];
const traced = spawnSync('strace', ['--seccomp-bpf', '-f', '-qq', 'true']).status === 0;
if (!traced) process.stderr.write('no strace that may trace: look-ups are not watched, only files\n');

/** Calls that leave the machine or ask for a name, as strace writes them. */
function beyond(calls: string): string[] {
  const leaves = (call: string) => {
    const address = /inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"/.exec(call);
    const [, v4, v6] = address ?? [];
    if (v4 !== undefined || v6 !== undefined)
      return /port=htons\(53\)/.test(call) || !(v4?.startsWith('127.') || v6 === '::1');
    return /resolve|avahi/i.test(call) && call.includes('AF_UNIX');
  };
  return calls.split('\n').filter(leaves);
}

it('finds what leaves the machine', () => {
  const calls = [
    '12 connect(31, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
    '12 connect(31, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EINPROGRESS',
    '12 connect(31, {sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28) = 0',
    '12 connect(31, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
    '12 sendto(31, "..", 2, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 2',
    '12 connect(31, {sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
    '12 connect(31, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT',
  ];
  expect(beyond(calls.join('\n'))).toEqual(calls.slice(0, 5));
});

it('from data to an answer, the platform and its trainers keep to their folders and to this machine', async () => {
  const [home, temporary] = ['home', 'temporary'].map((name) => join(folder, name));
  for (const path of [home, temporary]) mkdirSync(path);
  const platform = await serve(join(folder, 'data'), {
    ...(traced ? { launcher: [...strace, '-o', trace] } : {}),
    env: { HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, TMPDIR: temporary },
  });
  // Its tracer ends with the last of its processes.
  onTestFinished(() => platform.end('SIGTERM').then(() => {}));
  await tune(platform.channel, 'silence');
  await platform.channel
    .client<inference.AnalysisServiceClient>('AnalysisService')
    .call('analyze', { text: 'What a lovely day' });
  const { code, stderr } = await platform.end('SIGTERM');
  expect([code, stderr]).toEqual([0, expect.any(String)]);

  const files = [home, temporary].flatMap((path) => readdirSync(path, { recursive: true, encoding: 'utf8' }));
  expect(files).toEqual([]);
  if (!traced) return;
  const calls = readFileSync(trace, 'utf8');
  // It was watched: its services call each other over loopback.
  expect(calls).toMatch(/connect\(.*inet_addr\("127\.0\.0\.1"\)/);
  expect(beyond(calls)).toEqual([]);
}, 400_000);

it('tools of the workspace are told to call nobody', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  // Turbo reports unless its environment forbids it, which only these scripts give it; npm and pnpm look for versions of their own.
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(Object.values(scripts).filter((line) => !/^(node scripts\/|tsc )/.test(line))).toEqual([]);
  expect(read('scripts/setup.mjs')).toMatch(/TURBO_TELEMETRY_DISABLED: '1',\n *DO_NOT_TRACK: '1'/);
  expect(read('.npmrc').split('\n')).toContain('update-notifier=false');
});
