import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runParity } from './parity.js';

const root = process.env['EMOTUNE_FIXTURES'];
if (root === undefined)
  process.stderr.write('SKIPPED parity: set EMOTUNE_FIXTURES to the folder of fixtures\n');
const folders =
  root === undefined
    ? []
    : readdirSync(root).filter((name) => existsSync(join(root, name, 'case-left.safetensors')));

describe.skipIf(root === undefined)('parity with Hugging Face transformers 5.23.0 and PEFT 0.21.2', () => {
  it.each(folders.filter((name) => !name.endsWith('__dora')))('%s', async (name) => {
    const results = await runParity(join(root!, name));
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter((result) => !result.ok)).toEqual([]);
  });

  it.each(folders.filter((name) => name.endsWith('__dora')))('%s is refused by name', async (name) => {
    await expect(runParity(join(root!, name))).rejects.toThrow('use_dora: expected false');
  });
});
