import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { documented } from './settings-document.js';
import { settings } from './settings-table.js';

const document = fileURLToPath(new URL('../../../docs/training.md', import.meta.url));

describe('documents of the settings', () => {
  it('docs/training.md has every setting as the schema has it; `vitest run settings-document -u` writes it anew', async () => {
    await expect(documented(readFileSync(document, 'utf8'))).toMatchFileSnapshot(document);
  });

  it('say of every setting what it is', () => {
    for (const { name, variants } of settings.values())
      for (const { description } of variants) expect(description, name).not.toBe('');
  });

  it('leave no setting out', () => {
    expect(() => documented('<!-- settings: loss.* -->\n<!-- end of settings -->')).toThrow(
      /^no table has .*\blearningRate\b/,
    );
  });
});
