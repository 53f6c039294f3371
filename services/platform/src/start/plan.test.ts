import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceExample } from '@emotune/affect';
import { assemble, chosenRows, corpora } from '@emotune/data';
import { seenRows } from '@emotune/lab/pretraining-text';
import { describe, expect, it } from 'vitest';
import { startPlan } from './plan.js';

const corporaDir = process.env['EMOTUNE_CORPORA'];
if (!corporaDir)
  process.stderr.write('SKIPPED what base models saw: set EMOTUNE_CORPORA to the folder of corpora\n');

async function* each(examples: readonly SourceExample[]): AsyncGenerator<SourceExample> {
  yield* examples;
}

describe.skipIf(!corporaDir)('base models', () => {
  it('have seen no text that npm start validates or tests on', { timeout: 600_000 }, async () => {
    const examples: SourceExample[] = [];
    for (const corpus of corpora.filter(({ language }) => language === 'en')) {
      const texts = corpus.files.map(({ path }) => readFile(join(corporaDir!, path), 'utf8'));
      examples.push(...corpus.examples(await Promise.all(texts), () => {}));
    }
    const seen = new Set((await seenRows(examples)).map(({ text }) => text));
    expect(seen.size).toBeGreaterThan(50_000);
    for (const [real, budget] of [
      [true, 'small'],
      [true, 'full'],
      [false, 'small'],
    ] as const) {
      const { dataset } = startPlan({ real, budget, seed: 1, baseModels: [], processors: 2 });
      const { validation = 0, test = 0, seed = 0 } = dataset.split!;
      const rows: SourceExample[] = [];
      for (const { corpus, limit = 0, split } of dataset.sources!) {
        const own = examples
          .filter(({ source }) => source === corpus)
          .map((example) => (split === 'train' ? { ...example, split: 'train' as const } : example));
        const chosen = await chosenRows(() => each(own), limit, seed);
        rows.push(...own.filter((_, i) => chosen?.[i] !== 0));
      }
      const { splits } = assemble(rows, { validation, test }, seed);
      expect(splits.test.length).toBeGreaterThan(real ? 1000 : 100);
      const leaked = [...splits.validation, ...splits.test].filter(({ text }) => seen.has(text));
      expect(leaked.map(({ id }) => id)).toEqual([]);
    }
  });
});
