/** ISEAR (Scherer and Wallbott 1994): situations in which people felt one of seven emotions, and how intensely, 1..4, by themselves. */
import { show } from '@emotune/base';
import { csvRows } from '@emotune/records';
import { type Importer } from './importer.js';

const emotions = ['joy', 'fear', 'anger', 'sadness', 'disgust', 'shame', 'guilt'];
const labelSet = [...emotions].sort();
const intensities = { low: 1, high: 4 };
/** What stands where somebody told nothing. */
const untold =
  /^\W*(?:no response|blank|none|nothing|not? applicable|same as (?:in|for|the)|can ?not (?:think|remember)|do(?:es)? ?n['o]t (?:apply|remember))\b/i;
/** The export writes a line break as this letter before it. */
const brokenLine = /\s*á?\s*\r?\n\s*/g;

export const isear: Importer = {
  format: 'isear',
  title: 'ISEAR, International Survey on Emotion Antecedents and Reactions',
  licence: 'LicenseRef-ISEAR',
  url: 'https://www.unige.ch/cisa/research/materials-and-online-research/research-material/',
  files: 'isear.csv, its columns divided by |',
  read(files, into) {
    const make = into.maker('en');
    for (const file of files) {
      const columns = file.text.slice(0, file.text.indexOf('\n')).split('|');
      if (!columns.includes('SIT') || !columns.includes('EMOT')) continue;
      into.take();
      for (const { at, values } of csvRows(file.text, `${into.field} (${file.path})`, '|')) {
        const line = Number(at.split(' ')[1]);
        const emotion = emotions[Number(values['EMOT']) - 1];
        if (emotion === undefined) {
          into.fault(file, line, `expected EMOT 1 to 7, got ${show(values['EMOT'])}`);
          continue;
        }
        const text = values['SIT'].replace(brokenLine, ' ').trim();
        if (text === '' || untold.test(text)) {
          into.skip('no situation told');
          continue;
        }
        const draft = { originalId: values['MYKEY'] ? `${values['MYKEY']}-${line}` : `row-${line}`, text };
        into.add(
          make.classification('emotion-classification', draft, [emotion], labelSet, false, {
            suffix: '/emotion',
          }),
        );
        const felt = Number(values['INTS'] || Number.NaN);
        if (felt >= intensities.low && felt <= intensities.high)
          into.add(
            make.regression('emotion-regression', draft, intensities, felt, {
              emotion,
              suffix: `/${emotion}`,
            }),
          );
      }
    }
  },
};
