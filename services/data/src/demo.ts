/** The demonstration texts that come with the project: one annotator, no raters' spread, never a benchmark. */
import { readFileSync } from 'node:fs';
import { labelGold, labelSets, numberGold, type SourceExample } from '@emotune/affect';
import { lines } from '@emotune/records';

const file = new URL('../data/demo.tsv', import.meta.url);
const intensities = ['anger', 'fear', 'joy', 'sadness'] as const;
/** Half-width of the band that counts as neither positive nor negative, on −1..1. */
const neutralBand = 0.15;

function polarity(valence: number): string {
  if (Math.abs(valence) <= neutralBand) return 'neutral';
  return valence < 0 ? 'negative' : 'positive';
}

export function demoExamples(): SourceExample[] {
  const [header, ...rows] = lines(readFileSync(file, 'utf8')).map((line) => line.split('\t'));
  return rows.flatMap((cells) => {
    const row = Object.fromEntries(header.map((name, i) => [name, cells[i]]));
    const valence = Number(row['valence']);
    const common = {
      source: 'emotune-demo',
      originalId: row['id'],
      licence: 'Apache-2.0',
      language: 'en',
      text: row['text'],
      emotion: null,
      labelSet: [],
      multiLabel: false,
      scale: null,
      split: null,
    };
    const id = (suffix: string) => `emotune-demo/${row['id']}/${suffix}`;
    return [
      {
        ...common,
        id: id('valence'),
        task: 'sentiment-regression',
        scale: { low: -1, high: 1 },
        gold: numberGold((valence + 1) / 2),
      },
      {
        ...common,
        id: id('polarity'),
        task: 'sentiment-classification',
        labelSet: [...labelSets.sentiment3],
        gold: labelGold([polarity(valence)]),
      },
      {
        ...common,
        id: id('emotions'),
        task: 'emotion-classification',
        labelSet: [...labelSets.ekman],
        multiLabel: true,
        gold: labelGold(row['labels'].split('|').sort()),
      },
      ...intensities.map((emotion) => ({
        ...common,
        id: id(emotion),
        task: 'emotion-regression' as const,
        emotion,
        scale: { low: 0, high: 1 },
        gold: numberGold(Number(row[emotion])),
      })),
    ] satisfies SourceExample[];
  });
}
