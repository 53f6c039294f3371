import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parityReport, runParity, tolerance } from './parity.js';

const root = process.env['EMOTUNE_FIXTURES'];
if (root === undefined)
  process.stderr.write('SKIPPED parity: set EMOTUNE_FIXTURES to the folder of fixtures\n');
const folders =
  root === undefined
    ? []
    : readdirSync(root).filter((name) => existsSync(join(root, name, 'case-left.safetensors')));

describe.skipIf(root === undefined)('parity with Hugging Face transformers 5.23.0 and PEFT 0.21.2', () => {
  it.each(folders)('%s', async (name) => {
    const { cases, merged = 0 } = await runParity(join(root!, name));
    expect(cases.length).toBeGreaterThan(0);
    expect(cases.filter((result) => !result.ok)).toEqual([]);
    expect(merged).toBeLessThan(tolerance.merged);
  });

  it('passes over a folder that holds no model, and fails where a model lacks its cases', async () => {
    expect(await parityReport(join(root!, 'peft-movies'), {})).toMatchObject({ ok: true, cases: [] });
    expect(await parityReport(join(root!, 'README.md'), {})).toMatchObject({ skipped: 'no folder' });
    expect(await parityReport(join(root!, 'nowhere'), {})).toMatchObject({ ok: false });
  });
});
