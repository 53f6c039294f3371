/** GoEmotions as each rater answered (goemotions_1.csv to goemotions_3.csv): labels that two raters gave, with how many gave each. */
import { labelGold } from '@emotune/affect';
import { csvRows } from '@emotune/records';
import { goEmotionsLabels } from '../corpora/goemotions.js';
import { type Importer } from './importer.js';

/** Raters who have to agree, as the published labels were made. */
const agreeing = 2;
const labelSet = [...goEmotionsLabels].sort();

interface Item {
  readonly text: string;
  raters: number;
  readonly votes: Map<string, number>;
}

export const goEmotionsRaw: Importer = {
  format: 'goemotions-raw',
  title: 'GoEmotions, every rater',
  licence: 'Apache-2.0',
  url: 'https://github.com/google-research/google-research/tree/master/goemotions',
  files: 'goemotions_1.csv, goemotions_2.csv, goemotions_3.csv',
  read(files, into) {
    const items = new Map<string, Item>();
    for (const file of files) {
      const columns = file.text.slice(0, file.text.indexOf('\n')).trim().split(',');
      if (!['text', 'id', 'rater_id', ...labelSet].every((name) => columns.includes(name))) continue;
      into.take();
      for (const { values } of csvRows(file.text, `${into.field} (${file.path})`)) {
        if (values['example_very_unclear']?.toLowerCase() === 'true') {
          into.skip('raters who found a text unclear');
          continue;
        }
        const item = items.get(values['id']) ?? { text: values['text'], raters: 0, votes: new Map() };
        items.set(values['id'], item);
        item.raters++;
        for (const label of labelSet)
          if (values[label] === '1') item.votes.set(label, (item.votes.get(label) ?? 0) + 1);
      }
    }
    const make = into.maker('en');
    for (const [originalId, { text, raters, votes }] of items) {
      const labels = labelSet.filter((label) => (votes.get(label) ?? 0) >= agreeing);
      if (labels.length === 0 || text.trim() === '') {
        into.skip('texts without a label that two raters gave');
        continue;
      }
      const gold = labelGold(labels, raters, Object.fromEntries(votes));
      into.add(
        make.classification('emotion-classification', { originalId, text }, labels, labelSet, true, { gold }),
      );
    }
  },
};
