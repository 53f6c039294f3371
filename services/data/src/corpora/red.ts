import { labelSets, type Split } from '@emotune/affect';
import { csvRows } from '@emotune/records';
import { type Corpus, maker } from './corpus.js';

export const red: Corpus = (() => {
  const head = { name: 'red-ro', title: 'RED v1, Romanian', licence: 'MIT', language: 'ro' };
  const make = maker(head);
  const names: Record<string, string> = {
    Furie: 'anger',
    Frica: 'fear',
    Bucurie: 'joy',
    Neutru: 'neutral',
    Tristete: 'sadness',
  };
  const base =
    'https://raw.githubusercontent.com/Alegzandra/RED-Romanian-Emotions-Dataset/54a70918245ec1c94a2f09c3978f36fcac848105/REDv1/data';
  const files: [string, Split, string][] = [
    ['train', 'train', '037045827fd061bc50995da64d399d2f29c497a2fa1e7af45b2c2345e421770a'],
    ['val', 'validation', '066246d48e0c483204e41b88339e99c396c0a75de4b717d5fe3d57186ab311c5'],
    ['test', 'test', '1bd95bcf8ab2d01635970b38149928222936fa550db8d393b02e6332d3cd7dc5'],
  ];
  return {
    ...head,
    url: 'https://github.com/Alegzandra/RED-Romanian-Emotions-Dataset',
    tasks: ['emotion-classification'],
    files: files.map(([file, , sha256]) => ({
      path: `redv1/${file}.csv`,
      url: `${base}/${file}.csv`,
      sha256,
    })),
    examples: (contents) =>
      contents.flatMap((content, i) =>
        csvRows(content).map(({ values: row }, n) =>
          make.classification(
            'emotion-classification',
            { originalId: `${files[i][0]}-${n + 1}`, text: row['Tweet'], split: files[i][1] },
            [names[row['Emotion']]],
            labelSets.red5,
            false,
          ),
        ),
      ),
  };
})();
