import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { refusalOf } from './node-version.js';

it('tells a Node.js that is too old from one that is not', () => {
  for (const version of ['22.15.0', '22.23.3', '23.0.0', '100.1.2'])
    expect(refusalOf(version)).toBeUndefined();
  for (const version of ['20.20.2', '22.14.9', '18.0.0', '9.11.2'])
    expect(refusalOf(version)).toMatch(
      new RegExp(`^emotune: Node.js 22.15 or newer is needed, this is ${version}; `),
    );
});

it('says so before it loads what an older one cannot', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-node-'));
  try {
    const check = new URL('./node-version.ts', import.meta.url).href;
    writeFileSync(join(folder, 'new.mjs'), "import { noSuchThing } from 'node:zlib'; noSuchThing();");
    const main = (version: string) => {
      const code = `Object.defineProperty(process.versions, 'node', { value: '${version}' });
        const { onSupportedNode } = await import(${JSON.stringify(check)});
        await onSupportedNode(() => import('./new.mjs'));`;
      writeFileSync(join(folder, 'main.mjs'), code);
      const argv = ['--experimental-strip-types', '--no-warnings', join(folder, 'main.mjs')];
      return spawnSync(process.execPath, argv, { encoding: 'utf8' });
    };
    const old = main('20.20.2');
    expect([old.status, old.stdout]).toEqual([1, '']);
    expect(old.stderr).toMatch(/^emotune: Node.js [^\n]+, this is 20\.20\.2;[^\n]*\n$/);
    expect(main('22.23.3').stderr).toContain('noSuchThing');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
