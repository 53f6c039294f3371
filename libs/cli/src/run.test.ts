import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { files } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { emotune, folder, host, json, serverFolder, text } from './test-command-line.js';

describe('gc', () => {
  // What others leave in that of the machine is none of this.
  const temporary = join(folder, 'temporary');
  beforeAll(() => {
    mkdirSync(temporary);
    vi.stubEnv('TMPDIR', temporary);
  });
  afterAll(() => void vi.unstubAllEnvs());

  it('says what nothing needs, then removes it, and leaves what may be on its way', async () => {
    expect(await json('gc')).toMatchObject([{ garbage: [], bytes: 0 }]);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const garbage = [{ name: 'evaluations/deleted', bytes: 15, reason: 'its evaluation is gone' }];
    const old = ['--older-than', '1'];
    expect(await json('gc', '--dry-run', ...old)).toMatchObject([{ dryRun: true, garbage, bytes: 15 }]);
    expect(await text('gc', ...old)).toContain('evaluations/deleted  15 bytes  its evaluation is gone');
    expect(await json('gc', ...old)).toMatchObject([{ garbage: [], bytes: 0 }]);
  });

  it('removes what killed processes left on their way, and nothing of those that live', async () => {
    const dead = spawnSync('true').pid;
    const made = [dead, process.pid].map((pid) => join(temporary, `emotune-build-${pid}-abcdef`));
    for (const each of made) {
      mkdirSync(each, { recursive: true });
      writeFileSync(join(each, 'half'), 'four');
    }
    const half = join(serverFolder, '.incoming', 'half');
    writeFileSync(half, 'written');
    // What is written still is left for an hour, whatever age is asked for.
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    utimesSync(half, longAgo, longAgo);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const found = [
      { name: '.incoming/half', bytes: 7, reason: 'its writer was killed' },
      { name: made[0], bytes: 4, reason: 'its process was killed' },
    ];
    const [{ garbage }] = (await json(
      'gc',
      '--older-than',
      '1',
      '--dry-run',
    )) as files.CollectGarbageResponse[];
    expect(garbage).toEqual(expect.arrayContaining(found));
    expect(garbage.map(({ name }) => name)).not.toContain(made[1]);
    expect([half, ...made].map((path) => existsSync(path))).toEqual([true, true, true]);
    await text('gc', '--older-than', '1');
    expect([half, ...made].map((path) => existsSync(path))).toEqual([false, false, true]);
  });
});

describe('a platform that is started for a command', () => {
  it.each([
    ['experiment submit -f first.yaml', 'nothing'],
    ['experiment submit -f first.yaml --watch', 'trials'],
    ['experiment watch first', 'trials'],
    ['experiment get first', 'nothing'],
    ['experiment list', 'nothing'],
    ['experiment trials first', 'nothing'],
    ['experiment explain first 0', 'nothing'],
    ['experiment insight first', 'nothing'],
    ['experiment estimate first', 'nothing'],
    ['experiment logs first 8', 'nothing'],
    ['experiment logs first 8 --follow', 'nothing'],
    ['experiment cancel first', 'nothing'],
    ['experiment enqueue first -p x=1', 'nothing'],
    ['model list', 'nothing'],
    ['features preview first', 'nothing'],
    ['features list', 'nothing'],
    ['dataset list', 'nothing'],
    ['dataset preview mine', 'nothing'],
    ['dataset create -f dataset.yaml', 'builds'],
    ['dataset create -f dataset.yaml --no-wait', 'nothing'],
    ['features create -f features.yaml', 'builds'],
    ['analyze text', 'nothing'],
  ])('"%s" has it do in the background: %s', async (line, work) => {
    const asked: string[] = [];
    const { code, stderr } = await emotune(line.split(' '), {
      env: {},
      openPlatform: async (options) => {
        asked.push(options.work);
        return host.address;
      },
    });
    expect([code, asked], stderr).toEqual([0, [work]]);
  });

  it.each([
    ['experiment get second', 'experiment second goes on only while'],
    ['experiment enqueue first -p x=1', 'experiment first goes on only while'],
    ['experiment submit -f first.yaml', 'experiment first goes on only while'],
    ['experiment watch first', 'trials run in the background of this command until'],
    ['experiment logs first 3 --follow', 'no trial runs now'],
    ['experiment list', undefined],
  ])('"%s" tells who carries on what it does not, or for how long', async (line, note) => {
    const channel = Channel.connect(host.address);
    const { code, stderr } = await emotune(line.split(' '), {
      env: {},
      openPlatform: async () => ({ channel, logFile: '', close: async () => channel.close() }),
    });
    expect(code, stderr).toBe(0);
    if (note === undefined) expect(stderr).toBe('');
    else {
      expect(stderr).toContain(note);
      expect(stderr).toMatch(/"emotune up"/);
      expect(stderr).toMatch(/"emotune experiment watch (first|second)"/);
    }
  });
});

describe('the program', () => {
  it.each([
    ['dataset get missing'],
    ['dataset delete missing'],
    ['features get missing'],
    ['experiment get missing'],
    ['experiment watch missing'],
    ['model get missing'],
    ['evaluate --model missing --dataset d'],
    ['analyze x --model missing'],
  ])('"%s" is not found: 3', async (line) => {
    const { code, stdout, stderr } = await emotune(line.split(' '));
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/emotune: expected an? [a-z ]+, got "missing"\n$/);
  });

  it('a server that is away is unavailable: 4', async () => {
    const { code, stderr } = await emotune(['--server', '127.0.0.1:1', 'dataset', 'list']);
    expect([code, stderr]).toEqual([4, expect.stringContaining('127.0.0.1:1 cannot be reached')]);
  });

  it.each([
    ['datset list', "unknown command 'datset'\n(Did you mean dataset?)"],
    ['dataset crate', "unknown command 'crate'\n(Did you mean create?)"],
    ['analyze x --tsk y', "unknown option '--tsk'\n(Did you mean --task?)"],
    ['analyze x --task happiness', 'Allowed choices are sentiment-classification'],
    ['analyze x --scale 1-2', 'Expected LO..HI such as 0..1 or -4..4.'],
    ['analyze x --labels a', 'Expected labels such as a,b,c.'],
    ['dataset preview mine --rows 1.5', 'Expected an integer of at least 1.'],
    ['dataset list --server nowhere', '--server: expected HOST:PORT'],
  ])('"%s" is refused: 2', async (line, want) => {
    const { code, stdout, stderr } = await emotune(line.split(' '));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^emotune: /);
    expect(stderr).toContain(want);
  });

  it.each([
    [
      'dataset get missing',
      { status: 'NOT_FOUND', exitCode: 3, retryable: false, message: 'expected a dataset, got "missing"' },
    ],
    [
      '--server 127.0.0.1:1 dataset list',
      {
        status: 'UNAVAILABLE',
        exitCode: 4,
        retryable: true,
        message: expect.stringContaining('127.0.0.1:1'),
      },
    ],
    [
      'dataset crate',
      { status: 'INVALID_ARGUMENT', exitCode: 2, message: "unknown command 'crate'\n(Did you mean create?)" },
    ],
    ['dataset', { status: 'INVALID_ARGUMENT', exitCode: 2, message: 'expected a command; --help shows all' }],
    [
      'dataset create -f misspelt.yaml',
      {
        status: 'INVALID_ARGUMENT',
        exitCode: 2,
        violations: expect.arrayContaining([
          { field: 'nmae', description: 'unknown field, did you mean "name"?' },
        ]),
      },
    ],
  ])('"%s --json" says as one JSON document on stderr what failed', async (line, want) => {
    const { code, stdout, stderr } = await emotune([...line.split(' '), '--json']);
    expect(stdout).toBe('');
    const { error } = JSON.parse(stderr);
    expect(error).toMatchObject(want);
    expect(code).toBe(error.exitCode);
  });

  it('shows help and version', async () => {
    expect(await text('--help')).toContain('emotune experiment submit -f experiment.yaml --watch');
    expect(await text('dataset', 'create', '--help')).toContain('dataset.yaml:');
    expect(await text('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await emotune([])).code).toBe(2);
  });
});

describe('what would steer a terminal is shown instead', () => {
  const steering = '\x1b[2J\x1b]0;owned\x07\x9b\u202egpj';
  const raw =
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
    /[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

  it.each([
    ['of a text that is analysed', ['analyze', `fine ${steering}`], 0],
    ['of a log', ['experiment', 'logs', 'first', '9'], 0],
    ['of the name of a file', ['dataset', 'create', '-f', `${steering}.yaml`], 2],
    ['of a command', [`ls${steering}`], 2],
    ['of an option', ['dataset', 'list', `--${steering}`], 2],
    ['of a model that is not there', ['model', 'get', steering], 0],
  ])('%s', async (_, args, expected) => {
    for (const each of [args, ['--json', ...args]]) {
      const { code, stdout, stderr } = await emotune(each);
      expect(code).toBe(expected);
      expect(stdout + stderr).not.toMatch(raw);
      expect(stdout + stderr).toMatch(/\\u001b/);
    }
    // The document holds what was there.
    const { stdout, stderr } = await emotune(['--json', ...args]);
    for (const line of `${stdout}${stderr}`.trimEnd().split('\n'))
      expect(JSON.stringify(JSON.parse(line))).toContain(JSON.stringify('\x9b').slice(1, -1));
  });
});
