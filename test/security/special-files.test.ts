/** What is no regular file, and links that lead elsewhere, at everything that reads files: refused by name, never waited for. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAdapter, loadModel, loadModelChatTemplate, loadTokenizer, parseConfig } from '@emotune/models';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { emotune, type Served, serve } from '../e2e/platform-process.js';

const root = mkdtempSync(join(tmpdir(), 'emotune-special-'));
const source = fileURLToPath(new URL('../../models/emotune-opt-4m', import.meta.url));
const secret = join(root, 'secret');
const folder = join(root, 'model');
const servers: Server[] = [];

beforeAll(() => writeFileSync(secret, 'text\tlabel\nsecret\t1\n'));
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const listen = (path: string) =>
  new Promise<void>((done) => {
    servers.push(createServer().listen(path, done));
  });

/** Puts it there; what it is called when it is refused. */
const kinds: readonly [what: string, make: (path: string) => unknown, refusal: string][] = [
  ['a pipe', (path) => execFileSync('mkfifo', [path]), 'got a pipe'],
  ['a socket', listen, 'got a socket'],
  ['a device', (path) => symlinkSync('/dev/zero', path), 'got a device'],
  ['a folder', (path) => mkdirSync(path), 'got a folder'],
  ['a link to nowhere', (path) => symlinkSync('missing-file', path), 'got a link that leads nowhere'],
  ['a link to itself', (path) => symlinkSync(path, path), 'got links that lead in a circle'],
];
const outside: (typeof kinds)[number] = [
  'a link outside',
  (path) => symlinkSync('../secret', path),
  'outside',
];

async function put(name: string, make: (path: string) => unknown): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  cpSync(source, folder, { recursive: true });
  const path = join(folder, name);
  rmSync(path, { recursive: true, force: true });
  await make(path);
  return path;
}

const config = parseConfig({
  model_type: 'opt',
  ...{ vocab_size: 8, hidden_size: 4, ffn_dim: 4, num_hidden_layers: 1, num_attention_heads: 1 },
  ...{
    max_position_embeddings: 8,
    word_embed_proj_dim: 4,
    eos_token_id: 1,
    pad_token_id: 0,
    bos_token_id: 1,
  },
});
const readers: readonly [file: string, read: (path: string) => Promise<unknown>][] = [
  ['config.json', () => loadModel(folder)],
  ['generation_config.json', () => loadModel(folder)],
  ['model.safetensors', () => loadModel(folder)],
  ['model.safetensors.index.json', () => loadModel(folder)],
  ['tokenizer.json', () => loadTokenizer(folder)],
  ['tokenizer_config.json', () => loadModelChatTemplate(folder)],
  ['chat_template.jinja', () => loadModelChatTemplate(folder)],
  ['adapter_config.json', () => loadAdapter(folder, config)],
  ['model.gguf', (path) => loadModel(path)],
];

describe.each(readers)('%s', (name, read) => {
  // A folder may be called so.
  const cases = name.endsWith('.gguf') ? kinds.filter(([what]) => what !== 'a folder') : kinds;
  it.each([...cases, outside])('that is %s is refused by name', async (_, make, refusal) => {
    const path = await put(name, make);
    await expect(read(path)).rejects.toThrow(refusal);
    await expect(read(path)).rejects.toThrow(name);
  });
});

describe('the command', () => {
  const dataDir = join(root, 'data');
  let platform: Served;
  beforeAll(async () => {
    platform = await serve(dataDir);
  });
  afterAll(async () => {
    expect((await platform.end('SIGTERM')).code).toBe(0);
  });
  const ask = (...args: string[]) => emotune(['--data-dir', dataDir, ...args], { cwd: root });

  it.each(kinds)(
    'refuses %s as a file of rows, as YAML and in a folder of a model',
    async (_, make, refusal) => {
      const path = await put('tokenizer.json', make);
      const yaml = join(root, 'set.yaml');
      writeFileSync(yaml, `name: rows\nsources:\n  - file: {path: ${path}}\n`);
      for (const args of [
        ['dataset', 'create', '-f', yaml],
        ['dataset', 'create', '-f', path],
        ['model', 'import', folder, '--name', 'special'],
      ]) {
        const { code, stderr } = await ask(...args);
        // A folder that is called tokenizer.json is no file of the model, which then has none.
        const left = args[0] === 'model' && refusal === 'got a folder';
        expect(stderr).toContain(left ? 'expected a tokenizer.json, got none' : refusal);
        expect(code, stderr).toBe(left ? 3 : 2);
      }
    },
  );

  it('does not send what a link in a folder of a model leads to elsewhere', async () => {
    await put('README.md', outside[1]);
    const { code, stderr } = await ask('model', 'import', folder, '--name', 'special');
    expect([code, stderr]).toEqual([2, expect.stringContaining('which is outside')]);
  });
});
