/**
 * DimABSA and DimStance 2026 (SemEval-2026 Task 3): valence and arousal, 1..9, of aspects of a text, JSON a line. The subtasks here ask of a
 * text, so only texts with one aspect are taken.
 */
import { show } from '@emotune/base';
import { baseName, type Import, type ImportedFile, type Importer, languageOf, splitIn } from './importer.js';

const scale = { low: 1, high: 9 };

function valuesIn(row: Record<string, unknown>): string[] | undefined {
  const lists = ['Quadruplet', 'Triplet', 'Aspect_VA'].map((name) => row[name]);
  const aspects = lists.find((list) => Array.isArray(list)) as { VA?: unknown }[] | undefined;
  return aspects?.map(({ VA }) => `${VA}`);
}

function readLine(
  file: ImportedFile,
  line: number,
  language: string,
  row: Record<string, unknown>,
  into: Import,
): void {
  const { ID: id, Text: text } = row;
  if (typeof id !== 'string' || typeof text !== 'string' || text.trim() === '') {
    into.fault(file, line, `expected "ID" and "Text", got ${show(row)}`);
    return;
  }
  const values = valuesIn(row);
  if (values === undefined || values.length === 0) {
    into.skip('no gold values');
    return;
  }
  if (new Set(values).size > 1) {
    into.skip('texts with several aspects, each with values of its own');
    return;
  }
  const [valence, arousal] = values[0].split('#').map(Number);
  if (![valence, arousal].every((value) => value >= scale.low && value <= scale.high)) {
    into.fault(file, line, `expected "VA" as valence#arousal on 1..9, got ${show(values[0])}`);
    return;
  }
  const make = into.maker(language);
  const draft = {
    originalId: `${language}/${baseName(file.path)}/${id}`,
    text,
    split: splitIn(baseName(file.path)) ?? null,
  };
  into.add(
    make.regression('sentiment-regression', draft, scale, valence, { suffix: '/valence' }),
    make.regression('emotion-regression', draft, scale, arousal, { emotion: 'arousal', suffix: '/arousal' }),
  );
}

export const dimAbsa: Importer = {
  format: 'dimabsa',
  title: 'DimABSA and DimStance 2026',
  licence: 'LicenseRef-DimABSA',
  url: 'https://github.com/DimABSA/DimABSA2026',
  files: 'eng_laptop_train_alltasks.jsonl, zho_restaurant_trial_alltasks.jsonl',
  read(files, into) {
    for (const file of files) {
      const language = languageOf(/^([a-z]{3})_[a-z]+_.*\.jsonl$/i.exec(baseName(file.path))?.[1] ?? '');
      if (language === undefined) continue;
      into.take();
      for (const [i, line] of file.text.split(/\r?\n/).entries()) {
        if (line.trim() === '') continue;
        let row: unknown;
        try {
          row = JSON.parse(line);
        } catch {
          row = undefined;
        }
        if (typeof row === 'object' && row !== null)
          readLine(file, i + 1, language, row as Record<string, unknown>, into);
        else into.fault(file, i + 1, `expected one JSON object, got ${show(line)}`);
      }
    }
  },
};
