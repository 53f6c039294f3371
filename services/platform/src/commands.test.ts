import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@emotune/cli/test-server';
import { type Outcome, type RunOptions, runCommand } from '@emotune/cli/testing';
import type { Host } from '@emotune/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from './commands.js';
import { embedded } from './open-platform.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-commands-'));
let host: Host;

beforeAll(async () => {
  host = await startServer(folder);
  writeFileSync(join(folder, 'dataset.yaml'), 'name: mine\n');
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command without naming a server. */
function emotune(args: readonly string[], env: RunOptions['env'] = {}): Promise<Outcome> {
  return runCommand(args, { commands, openPlatform: embedded, cwd: folder, env });
}

describe('without a server, a command', () => {
  it('finds the platform that serves the data folder', async () => {
    writeFileSync(join(folder, 'platform.json'), JSON.stringify({ address: host.address, pid: process.pid }));
    const { code } = await emotune(['dataset', 'get', 'mine', '--data-dir', '.']);
    expect(code).toBe(0);
    expect((await emotune(['dataset', 'get', 'mine'], { EMOTUNE_DATA_DIR: folder })).code).toBe(0);
  });

  it('up says where the data folder is served already', async () => {
    const { code, stderr } = await emotune(['up', '--data-dir', '.']);
    expect([code, stderr]).toEqual([2, `emotune: ${folder} is served already, on ${host.address}\n`]);
  });

  it('a data folder that cannot be one is refused', async () => {
    const { code, stderr } = await emotune(['dataset', 'list', '--data-dir', 'dataset.yaml']);
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('--data-dir: expected a folder that can be written'),
    ]);
  });
});
