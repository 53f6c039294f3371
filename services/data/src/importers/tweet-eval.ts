/** TweetEval (Barbieri et al. 2020): its tasks emotion (four of SemEval-2018's) and sentiment; the texts and the labels of a split lie in two files. */
import { labelSets } from '@emotune/affect';
import { InvalidArgument, show } from '@emotune/base';
import { baseName, type ImportedFile, type Importer, splitIn } from './importer.js';

const mapped = {
  emotion: { task: 'emotion-classification', labels: ['anger', 'joy', 'optimism', 'sadness'] },
  sentiment: { task: 'sentiment-classification', labels: labelSets.sentiment3 },
} as const;

function linesOf({ text }: ImportedFile): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

export const tweetEval: Importer = {
  format: 'tweeteval',
  title: 'TweetEval, emotion and sentiment',
  licence: 'LicenseRef-TweetEval',
  url: 'https://github.com/cardiffnlp/tweeteval',
  files:
    'emotion/train_text.txt with emotion/train_labels.txt, sentiment/test_text.txt with sentiment/test_labels.txt',
  read(files, into) {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const make = into.maker('en');
    for (const file of files) {
      const found = /(?:^|\/)(emotion|sentiment)\/((?:train|val|test)_)text\.txt$/.exec(file.path);
      if (found === null) {
        // Irony, hate and the others ask what no subtask asks.
        if (/_text\.txt$/.test(baseName(file.path))) into.skip('files of other tasks');
        continue;
      }
      into.take();
      const folder = found[1] as keyof typeof mapped;
      const path = file.path.replace(/text\.txt$/, 'labels.txt');
      const labelFile = byPath.get(path);
      if (labelFile === undefined)
        throw InvalidArgument.at(into.field, `expected ${path} beside ${file.path}, got none`);
      const { task, labels } = mapped[folder];
      const [texts, numbers] = [linesOf(file), linesOf(labelFile)];
      if (texts.length !== numbers.length)
        throw InvalidArgument.at(
          into.field,
          `expected as many lines in ${path} as in ${file.path}, which has ${texts.length}, got ${numbers.length}`,
        );
      const split = splitIn(baseName(file.path))!;
      texts.forEach((text, i) => {
        const label = labels[Number(numbers[i])];
        if (numbers[i].trim() === '' || label === undefined) {
          into.fault(labelFile, i + 1, `expected 0 to ${labels.length - 1}, got ${show(numbers[i])}`);
          return;
        }
        if (text.trim() === '') {
          into.skip('no text');
          return;
        }
        const draft = { originalId: `${folder}-${split}-${i + 1}`, text, split };
        into.add(make.classification(task, draft, [label], labels, false));
      });
    }
  },
};
