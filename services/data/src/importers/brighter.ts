/**
 * BRIGHTER (Muhammad et al. 2025), also SemEval-2025 Task 11: emotions of texts in 28 languages, whether each is there (track A) and how
 * strong it is, 0..3 (track B). Files are named for their language and lie in folders of their track and split.
 */
import { InvalidArgument, show } from '@emotune/base';
import { csvRows } from '@emotune/records';
import { baseName, type Import, type ImportedFile, type Importer, languageOf, splitIn } from './importer.js';

const names = /^([a-z]{3,4})(?:_[ab])?\.csv$/i;
const intensities = { low: 0, high: 3 };

function readFile(file: ImportedFile, language: string, into: Import): void {
  const make = into.maker(language);
  const strengths = /(?:^|\/)track_?b\/|_b\.csv$/i.test(file.path);
  const rows = csvRows(file.text.replace(/^\ufeff/, ''), `${into.field} (${file.path})`);
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0].values).filter((name) => !['id', 'text'].includes(name.toLowerCase()));
  const textColumn = Object.keys(rows[0].values).find((name) => name.toLowerCase() === 'text');
  if (textColumn === undefined || columns.length === 0)
    throw InvalidArgument.at(
      `${into.field} (${file.path})`,
      'expected columns id, text and one for each emotion',
    );
  const split = splitIn(file.path) ?? null;
  for (const { at, values } of rows) {
    const line = Number(at.split(' ')[1]);
    const given = columns.filter((name) => values[name].trim() !== '');
    if (given.length === 0) {
      into.skip('no gold labels');
      continue;
    }
    const wrong = given.find(
      (name) => !(strengths ? /^\s*[0-3](\.0)?\s*$/ : /^\s*[01](\.0)?\s*$/).test(values[name]),
    );
    if (wrong !== undefined) {
      into.fault(
        file,
        line,
        `expected ${strengths ? '0 to 3' : '0 or 1'} for ${wrong}, got ${show(values[wrong])}`,
      );
      continue;
    }
    const originalId = values['id'] ?? `${baseName(file.path)}-${line}`;
    const draft = { originalId: `${language}/${originalId}`, text: values[textColumn], split };
    if (strengths) {
      for (const name of given) {
        const emotion = name.toLowerCase();
        const options = { emotion, suffix: `/${emotion}` };
        into.add(make.regression('emotion-regression', draft, intensities, Number(values[name]), options));
      }
      continue;
    }
    // An emotion that was not asked about in a language has an empty column, or none.
    const labelSet = [...given.map((name) => name.toLowerCase()), 'neutral'].sort();
    const found = given.filter((name) => Number(values[name]) === 1).map((name) => name.toLowerCase());
    const labels = found.length > 0 ? found.sort() : ['neutral'];
    into.add(
      make.classification('emotion-classification', draft, labels, labelSet, true, { suffix: '/emotions' }),
    );
  }
}

export const brighter: Importer = {
  format: 'brighter',
  title: 'BRIGHTER, SemEval-2025 Task 11',
  // Of the data set's card; the rules of the shared task say less.
  licence: 'CC-BY-4.0',
  url: 'https://github.com/emotion-analysis-project/SemEval2025-Task11',
  files: 'track_a/train/eng.csv, track_b/test/deu.csv',
  notice:
    'its card says CC-BY-4.0, the rules of the shared task for the same files forbid to pass them on: settle which you have, and say it with licence',
  read(files, into) {
    for (const file of files) {
      const language = languageOf(names.exec(baseName(file.path))?.[1] ?? '');
      if (language === undefined) continue;
      into.take();
      readFile(file, language, into);
    }
  },
};
