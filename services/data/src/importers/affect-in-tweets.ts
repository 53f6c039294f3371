/**
 * SemEval-2018 Task 1, Affect in Tweets (Mohammad et al. 2018), and WASSA-2017 EmoInt (Mohammad and Bravo-Marquez 2017), which its
 * intensities grew out of.
 */
import type { Scale } from '@emotune/affect';
import { show } from '@emotune/base';
import { baseName, type Import, type ImportedFile, type Importer, splitIn, tabbed } from './importer.js';

const unit: Scale = { low: 0, high: 1 };
const intensityClasses: Scale = { low: 0, high: 3 };
const valenceClasses: Scale = { low: -3, high: 3 };
const emotions = [
  'anger',
  'anticipation',
  'disgust',
  'fear',
  'joy',
  'love',
  'optimism',
  'pessimism',
  'sadness',
  'surprise',
  'trust',
];
/** Where none of the eleven was found. */
const withNeutral = [...emotions, 'neutral'].sort();
/** In test files without gold labels. */
const noGold = 'NONE';

const languages: Readonly<Record<string, string>> = { En: 'en', Ar: 'ar', Es: 'es' };
const names =
  /(EI-reg|EI-oc|V(?:alence)?-reg|V(?:alence)?-oc|E-c)-(En|Ar|Es)-(?:(anger|fear|joy|sadness)-)?(?:train|dev|test(?:-gold)?)\.txt$/i;

/** Archives write a line break within a tweet as two characters. */
const tweetOf = (cell: string) => cell.replaceAll('\\n', '\n');

function expectCells(
  into: Import,
  file: ImportedFile,
  line: number,
  cells: readonly string[],
  count: number,
): boolean {
  if (cells.length === count) return true;
  into.fault(file, line, `expected ${count} cells divided by tabs, got ${cells.length}`);
  return false;
}

function numberOf(
  into: Import,
  file: ImportedFile,
  line: number,
  written: string,
  { low, high }: Scale,
): number | undefined {
  const value = Number(written);
  if (written.trim() !== '' && value >= low && value <= high) return value;
  into.fault(file, line, `expected a number on ${low}..${high}, got ${show(written)}`);
  return undefined;
}

/** Emotions as 1 and 0, in the order of the header. */
function readEmotions(file: ImportedFile, language: string, into: Import): void {
  const make = into.maker(language);
  const [header, ...rows] = tabbed(file);
  const columns = header?.cells.slice(2).map((name) => name.trim().toLowerCase()) ?? [];
  for (const { number, cells } of rows) {
    if (!expectCells(into, file, number, cells, columns.length + 2)) continue;
    const [id, tweet, ...marks] = cells;
    if (marks.some((mark) => mark.trim() === noGold)) {
      into.skip('no gold labels');
      continue;
    }
    const wrong = marks.find((mark) => !/^\s*[01]\s*$/.test(mark));
    if (wrong !== undefined) {
      into.fault(file, number, `expected 0 or 1 for each emotion, got ${show(wrong)}`);
      continue;
    }
    const found = columns.filter((_, i) => marks[i].trim() === '1');
    const draft = { originalId: id, text: tweetOf(tweet), split: splitIn(file.path) ?? null };
    const labels = found.length > 0 ? found : ['neutral'];
    into.add(
      make.classification('emotion-classification', draft, labels, withNeutral, true, { suffix: '/E-c' }),
    );
  }
}

function readIntensities(file: ImportedFile, kind: string, language: string, into: Import): void {
  const make = into.maker(language);
  const ordinal = kind.endsWith('oc');
  const valence = kind.startsWith('V');
  const scale = ordinal ? (valence ? valenceClasses : intensityClasses) : unit;
  for (const { number, cells } of tabbed(file).slice(1)) {
    if (!expectCells(into, file, number, cells, 4)) continue;
    const [id, tweet, dimension, answer] = cells;
    // Templates for a test of gender and race bias, scored 0.000.
    if (id.includes('mystery')) {
      into.skip('rows of the bias test (mystery)');
      continue;
    }
    if (answer.trim() === noGold) {
      into.skip('no gold labels');
      continue;
    }
    const value = numberOf(into, file, number, ordinal ? answer.split(':')[0] : answer, scale);
    if (value === undefined) continue;
    const draft = { originalId: id, text: tweetOf(tweet), split: splitIn(file.path) ?? null };
    const emotion = dimension.trim().toLowerCase();
    into.add(
      valence
        ? make.regression('sentiment-regression', draft, scale, value, { suffix: `/${kind}` })
        : make.regression('emotion-regression', draft, scale, value, {
            emotion,
            suffix: `/${kind}/${emotion}`,
          }),
    );
  }
}

export const semeval2018: Importer = {
  format: 'semeval-2018',
  title: 'SemEval-2018 Task 1, Affect in Tweets',
  licence: 'LicenseRef-SemEval-2018-Task-1',
  url: 'https://competitions.codalab.org/competitions/17751',
  files: '2018-E-c-En-train.txt, EI-reg-En-anger-train.txt, 2018-Valence-oc-En-dev.txt',
  notice:
    'the scores of EI-reg in its train files were given in 2016, those in its dev and test files in 2017: ranks within one of them can be compared, numbers across them cannot',
  read(files, into) {
    for (const file of files) {
      const found = names.exec(baseName(file.path));
      if (found === null) continue;
      into.take();
      const kind = found[1].replace(/^valence/i, 'V');
      const language = languages[found[2]];
      if (kind === 'E-c') readEmotions(file, language, into);
      else readIntensities(file, kind, language, into);
    }
  },
};

const emoIntNames = /^(?:anger|fear|joy|sadness)-ratings-0to1\.(?:train|dev|test)(?:\.gold|\.target)?\.txt$/;

export const wassa2017: Importer = {
  format: 'wassa-2017',
  title: 'WASSA-2017 shared task on emotion intensity (EmoInt)',
  licence: 'LicenseRef-WASSA-2017-EmoInt',
  url: 'http://saifmohammad.com/WebPages/EmotionIntensity-SharedTask.html',
  files: 'anger-ratings-0to1.train.txt, joy-ratings-0to1.test.gold.txt',
  read(files, into) {
    const make = into.maker('en');
    for (const file of files) {
      if (!emoIntNames.test(baseName(file.path))) continue;
      into.take();
      for (const { number, cells } of tabbed(file)) {
        if (!expectCells(into, file, number, cells, 4)) continue;
        const [id, tweet, dimension, answer] = cells;
        if (answer.trim() === noGold) {
          into.skip('no gold labels');
          continue;
        }
        const value = numberOf(into, file, number, answer, unit);
        if (value === undefined) continue;
        const draft = { originalId: id, text: tweetOf(tweet), split: splitIn(baseName(file.path)) ?? null };
        const emotion = dimension.trim().toLowerCase();
        into.add(
          make.regression('emotion-regression', draft, unit, value, { emotion, suffix: `/${emotion}` }),
        );
      }
    }
  },
};
