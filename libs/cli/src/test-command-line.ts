/** The commands, run against a server of the whole contract, in a folder with files of a user. Once in a test file. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Host } from '@emotune/service';
import { afterAll, beforeAll, expect } from 'vitest';
import { clientCommands } from './commands.js';
import { startServer } from './test-server.js';
import { type Outcome, type RunOptions, runCommand } from './testing.js';

export const folder = mkdtempSync(join(tmpdir(), 'emotune-cli-'));
/** The server's: nothing in it lies where the command line's files do. */
export const serverFolder = mkdtempSync(join(tmpdir(), 'emotune-server-'));
export const rows = 'text\tlabel\nfine\t3\n';
export let host: Host;

beforeAll(async () => {
  host = await startServer(serverFolder);
  mkdirSync(join(folder, 'data'));
  for (const name of ['data/mine.tsv', 'mine.csv']) writeFileSync(join(folder, name), rows);
  writeFileSync(
    join(folder, 'dataset.yaml'),
    `name: mine
sources:
  - corpus: emotune-demo
  - file: {path: data/mine.tsv, name: mine, task: sentiment-regression, scale: 0..5}
`,
  );
  writeFileSync(join(folder, 'fails.yaml'), 'name: fails\nsources: [{corpus: emotune-demo}]\n');
  writeFileSync(join(folder, 'refused.yaml'), 'name: Refused\nsources: [{limit: 3}]\n');
  writeFileSync(join(folder, 'taken.yaml'), 'name: taken\nsources: [{corpus: emotune-demo}]\n');
  writeFileSync(join(folder, 'misspelt.yaml'), 'nmae: mine\nsources: [{corpse: emotune-demo}]\n');
  writeFileSync(join(folder, 'features.yaml'), 'name: mine\ndataset: mine\nbaseModels: [emotune-opt-4m]\n');
  writeFileSync(join(folder, 'first.yaml'), 'name: first\nfeatures: mine\nobjective: {goal: minimize}\n');
  writeFileSync(join(folder, 'hopeless.yaml'), 'name: hopeless\nfeatures: mine\n');
});
afterAll(async () => {
  await host.close();
  for (const each of [folder, serverFolder]) rmSync(each, { recursive: true, force: true });
});

/** Runs a command against the server. */
export function emotune(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Outcome> {
  return runCommand(args, {
    commands: clientCommands,
    cwd: folder,
    env: { EMOTUNE_SERVER: host.address },
    ...options,
  });
}

/** The documents that a command prints with --json. */
export async function json(...args: string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await emotune([...args, '--json']);
  expect(code, stderr).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

export async function text(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await emotune(args);
  expect(code, stderr).toBe(0);
  return stdout;
}
