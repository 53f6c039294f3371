/**
 * Öhman et al. 2020: subtitles with Plutchik's eight emotions. English and Finnish were annotated, and have neutral lines; those
 * of other languages carry what the English line beside them was given.
 */
import { labelSets, type SourceExample } from '@emotune/affect';
import { lines } from '@emotune/records';
import { type Corpus, type CorpusFile, maker, type Skip } from './corpus.js';

const names = ['neutral', 'anger', 'anticipation', 'disgust', 'fear', 'joy', 'sadness', 'surprise', 'trust'];
const base = 'https://raw.githubusercontent.com/Helsinki-NLP/XED';
const annotatedCommit = '3cfd061825fddcbefadeb0bb18a5ba2f690701b2';
const neutralCommit = '3e711518636f53634f33f5422e92a27216aee084';
const projectedCommit = '7b154aa00dd22b7cfed7e8fac435ae81f1291904';

type Make = ReturnType<typeof maker>;

/**
 * Text, then the numbers of its emotions. Where a quote was not closed when the files of the projected languages were made, lines
 * of the subtitles' alignment stand between; they have other columns and no emotions.
 */
function labelled(make: Make, content: string, name: string, skip: Skip): SourceExample[] {
  return lines(content).flatMap((line, i) => {
    const [text, ids, ...others] = line.split('\t');
    if (ids === undefined || others.length > 0) {
      skip('not a text and its emotions');
      return [];
    }
    if (text.trim() === '') {
      skip('no text');
      return [];
    }
    const gold = [...new Set(ids.split(',').map((id) => names[Number(id)]))].sort();
    const draft = { originalId: `${name}-${i + 1}`, text };
    return [make.classification('emotion-classification', draft, gold, labelSets.plutchik, true)];
  });
}

/** A number, then the text; where they have more columns, those tell whence it comes. */
function neutral(make: Make, content: string, skip: Skip): SourceExample[] {
  return lines(content).flatMap((line, i) => {
    const text = line.split('\t')[1] ?? '';
    if (text.trim() === '') {
      skip('no text');
      return [];
    }
    const draft = { originalId: `neutral-${i + 1}`, text };
    return [make.classification('emotion-classification', draft, ['neutral'], labelSets.plutchik, true)];
  });
}

function xed(
  language: string,
  named: string,
  files: readonly CorpusFile[],
  examples: (make: Make, contents: readonly string[], skip: Skip) => SourceExample[],
): Corpus {
  const head = { name: `xed-${language}`, title: `XED, ${named}`, licence: 'CC-BY-4.0', language };
  const make = maker(head);
  return {
    ...head,
    url: 'https://github.com/Helsinki-NLP/XED',
    tasks: ['emotion-classification'],
    files,
    examples: (contents, skip) => examples(make, contents, skip),
  };
}

function annotated(language: string, named: string, labels: string, neutrals: string): Corpus {
  const files = [
    {
      path: `xed/${language}-annotated.tsv`,
      url: `${base}/${annotatedCommit}/AnnotatedData/${language}-annotated.tsv`,
      sha256: labels,
    },
    {
      path: `xed/neu_${language}.txt`,
      url: `${base}/${neutralCommit}/AnnotatedData/neu_${language}.txt`,
      sha256: neutrals,
    },
  ];
  return xed(language, named, files, (make, [rows, others], skip) => [
    ...labelled(make, rows, 'annotated', skip),
    ...neutral(make, others, skip),
  ]);
}

/** @param file as XED calls the language */
function projected(language: string, named: string, sha256: string, file = language): Corpus {
  const url = `${base}/${projectedCommit}/Projections/${file}-projections.tsv`;
  return xed(
    language,
    `${named} (projected)`,
    [{ path: `xed/projections/${file}.tsv`, url, sha256 }],
    (make, [rows], skip) => labelled(make, rows, 'projected', skip),
  );
}

export const xedCorpora: readonly Corpus[] = [
  annotated(
    'en',
    'English',
    '26ac0254fbdb8b09cf2b00d44041d9084ece31bd200ae7c0e0662fbd8b037d98',
    '6e8b38af83b80fb64ec1139007973b1f09ec16d48549e82de22423cdba259f08',
  ),
  annotated(
    'fi',
    'Finnish',
    '0b5ba26b2636c3a773b77a12b1b6a86a0b6ad49c6a50572ac43868d443992392',
    '05634a802d7ceb34b17a78c04bf240714b8b814524892cef85ffe67223e4c777',
  ),
  projected('ar', 'Arabic', '96f2ad5b493a7b560277da676c44ed5af04638ba6cab52718e22f1b5682afc01'),
  projected('zh', 'Chinese', '8168bacf05f8591c2872868b0bc545d6de8fc25afd1ff49a259d235adf1374f6', 'cn'),
  projected('cs', 'Czech', 'c13a76b7df14b22be4bc3af26e8980fc1d4b93f27ffcdf22c4455e8d8c1c63c6'),
  projected('de', 'German', '9043be088b835643bb752a9f252809ac4d029ae5edbfee8fe45eae2c19e1443b'),
  projected('el', 'Greek', 'cc2c761faf62d4b6ae1ae6ecf984b333f175307eb3e8ae33925ef53aa61146d2'),
  projected('es', 'Spanish', '5e857aa6e4a09e5dd7e2029439fac60d555a452d8b5ead099f1be7ee7ea3c38e'),
  projected('fr', 'French', '261c9ed2de974d8e38882699825bd2905ae0482c620dd15200bc5f43055b04b6'),
  projected('he', 'Hebrew', '87ae18354688430a45e6ff83eb433e3fa5e3c69e45cc2a119d60a768e955c9b4'),
  projected('hu', 'Hungarian', 'd3a0ff9dc5dc031ba5445d86e83545d17d235eea4221bc4910329d3419c1876a'),
  projected('it', 'Italian', '47e658c9475b7e8379b64e367621eceb687424e2bf08b5498b3ac6a539bca947'),
  projected('nl', 'Dutch', '28d6346b07302a3f572b1b180299efef71def97a32e0c94ad31478a96225e7da'),
  projected('pl', 'Polish', '5d6af8e5a32e9e72cab98244579726715542c5a928c8b4355c0e66c8f09e1482'),
  projected('pt', 'Portuguese', 'bf6c1db185b0038bae80205377b5be84b85d97ab70bb7df1fdcc867f9e3cfb6e'),
  projected('ro', 'Romanian', '94b4e3eb4dc97a92e62bde8a268dd8cabc59c7dd875092bd204acd11687e2438'),
  projected('ru', 'Russian', '93c025fc257d4cc9f253473f46351e57383510f15d8a15db1eaf2ac5da3f9771'),
  projected('sv', 'Swedish', '6a10095823326ee8d0f3a38b606a404e1b2e512a1f6eadaa4472587ead53aed9'),
];
