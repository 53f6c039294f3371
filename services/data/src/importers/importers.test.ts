/** Each format as its owners write it, with sentences of our own. */
import { InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { goEmotionsLabels } from '../corpora/goemotions.js';
import { importers } from '../importers.js';
import { Import, splitIn } from './importer.js';
import { classOfScore } from './sst.js';

function imported(format: string, files: Readonly<Record<string, string>>) {
  const importer = importers.find((one) => one.format === format)!;
  const into = new Import('mine', importer.licence, 'sources[0].import');
  const given = Object.entries(files).map(([path, text]) => ({ path, text }));
  importer.read(given, into);
  into.end(importer, given);
  const { examples, skipped } = into;
  expect(new Set(examples.map(({ id }) => id)).size).toBe(examples.length);
  return { examples, skipped };
}

/** What an example asks and is answered, on its own scale. */
const told = ({ examples }: ReturnType<typeof imported>) =>
  examples.map(({ task, emotion, scale, gold, split, language }) => {
    const answer = scale ? scale.low + gold.value! * (scale.high - scale.low) : gold.labels.join('|');
    return [
      language,
      split,
      emotion ?? task,
      typeof answer === 'number' ? Number(answer.toFixed(6)) : answer,
    ];
  });

const violationsOf = (read: () => unknown): readonly string[] => {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidArgument)
      return error.violations.map(({ field, description }) => `${field}: ${description}`);
    throw error;
  }
  return [];
};

describe('semeval-2018', () => {
  const scores = 'ID\tTweet\tAffect Dimension\tIntensity Score\r\n';
  const classes = 'ID\tTweet\tAffect Dimension\tIntensity Class\r\n';

  it('reads all five tasks with their splits, scales and languages', () => {
    const found = imported('semeval-2018', {
      'English/EI-reg/training/EI-reg-En-anger-train.txt': `${scores}2017-En-1\tthe bus left "early", again\tanger\t0.583\r\n`,
      'English/EI-oc/development/2018-EI-oc-En-joy-dev.txt': `${classes}2018-En-2\ta whole day at the lake\tjoy\t2: moderate amount of joy can be inferred\r\n`,
      'English/V-reg/2018-Valence-reg-En-test-gold.txt': `${scores}2018-En-3\tone line\\nand another\tvalence\t0.25\r\n`,
      'Spanish/V-oc/2018-Valence-oc-Es-train.txt': `${classes}2018-Es-4\tun dia largo\tvalence\t-2: moderately negative mental state can be inferred\r\n`,
      'English/E-c/2018-E-c-En-dev.txt':
        'ID\tTweet\tanger\tanticipation\tdisgust\tfear\tjoy\tlove\toptimism\tpessimism\tsadness\tsurprise\ttrust\r\n' +
        '2018-En-5\tthe letter came at last\t0\t0\t0\t0\t1\t0\t1\t0\t0\t0\t0\r\n' +
        '2018-En-6\ta bus, then a train\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\r\n',
    });
    expect(told(found)).toEqual([
      ['en', 'train', 'anger', 0.583],
      ['en', 'validation', 'joy', 2],
      ['en', 'test', 'sentiment-regression', 0.25],
      ['es', 'train', 'sentiment-regression', -2],
      ['en', 'validation', 'emotion-classification', 'joy|optimism'],
      ['en', 'validation', 'emotion-classification', 'neutral'],
    ]);
    // A quote is a character, at the end of a cell too, and a line break is written as two.
    expect(found.examples.map(({ text }) => text).slice(0, 3)).toEqual([
      'the bus left "early", again',
      'a whole day at the lake',
      'one line\nand another',
    ]);
    expect(found.examples[1].scale).toEqual({ low: 0, high: 3 });
  });

  it('passes over the rows of the bias test and those without gold, and counts them', () => {
    const { examples, skipped } = imported('semeval-2018', {
      'EI-reg-En-fear-test-gold.txt': `${scores}2018-En-1\tthe lift stood still\tfear\t0.5\n2018-En-mystery-00001\tmy aunt feels something\tfear\t0.000\n`,
      'EI-reg-En-fear-test.txt': `${scores}2018-En-1\tthe lift stood still\tfear\tNONE\n`,
    });
    expect(examples).toHaveLength(1);
    expect(skipped).toEqual({ 'rows of the bias test (mystery)': 1, 'no gold labels': 1 });
  });

  it('names rows that are wrong, and a folder without a file of the format', () => {
    const bad = `${scores}2017-En-1\tno score here\tanger\n2017-En-2\ttoo much of it\tanger\t1.5\n`;
    expect(violationsOf(() => imported('semeval-2018', { 'EI-reg-En-anger-train.txt': bad }))).toEqual([
      'sources[0].import (EI-reg-En-anger-train.txt), line 2: expected 4 cells divided by tabs, got 3',
      'sources[0].import (EI-reg-En-anger-train.txt), line 3: expected a number on 0..1, got "1.5"',
    ]);
    expect(violationsOf(() => imported('semeval-2018', { 'notes.txt': 'x' })).join()).toContain(
      'expected files of semeval-2018, such as 2018-E-c-En-train.txt',
    );
  });
});

it('wassa-2017: no header, the emotion in a column', () => {
  const found = imported('wassa-2017', {
    'joy-ratings-0to1.train.txt': '30001\ta kite above the roofs\tjoy\t0.812\n',
    'joy-ratings-0to1.test.target.txt': '30002\ta kite again\tjoy\tNONE\n',
  });
  expect(told(found)).toEqual([['en', 'train', 'joy', 0.812]]);
  expect(found.skipped).toEqual({ 'no gold labels': 1 });
});

describe('aaid', () => {
  const line = (task: string, text: string, asked: string, output: string | number) =>
    JSON.stringify({ instruction: `Task: ${task} Text: ${text} ${asked}: `, input: '', output });
  const chat = (prompt: string, answer: string) =>
    JSON.stringify({
      id: 'x',
      conversations: [
        { from: 'human', value: prompt },
        { from: 'assistant', value: answer },
      ],
    });

  it('reads scale, labels and text back out of the prompts, and keeps one of several paraphrases', () => {
    const found = imported('aaid', {
      'data/train.json': [
        chat(
          'Task: Rate how strong emotion E is, from 0 (none) to 1 (most). Tweet: the kettle broke. Emotion E: anger. Intensity Score: ',
          '0.4',
        ),
        chat(
          'Task: Give emotion E a value between 0 (none) and 1 (most). Tweet: the kettle broke. Emotion E: anger. Intensity Score: ',
          '0.4',
        ),
        chat(
          'Task: Place it. 0: no E can be inferred. 1: low amount of E can be inferred. 2: moderate amount of E can be inferred. 3: high amount of E can be inferred. Tweet: the kettle broke. Emotion E: anger. Intensity Class: ',
          '1: low amount of anger can be inferred',
        ),
        chat(
          "Task: Name the emotions (anger, joy, trust), or 'neutral or no emotion'. Tweet: the kettle broke. This tweet contains emotions: ",
          'neutral or no emotion.',
        ),
      ].join('\n'),
      'data/vader_test.json': [
        line('Calculate a number between -4 (worst) and 4 (best).', 'lamps, lamps', 'Intensity Score', -0.75),
        line(
          'Determine the dominance of the writer on a scale of 1 (least) to 5 (most).',
          'we begin',
          'Intensity Score',
          3.1,
        ),
        line('Classify it. 1: positive. 0: neutral. -1: negative.', 'we end', 'Intensity Class', -1),
        line(
          "Either 'neutral' or one or more of the emotions (anger, disgust, joy).",
          'we rest',
          'This tweet contains emotions',
          'joy,anger',
        ),
      ].join('\n'),
    });
    expect(told(found)).toEqual([
      ['en', 'train', 'anger', 0.4],
      ['en', 'train', 'anger', 1],
      ['en', 'train', 'emotion-classification', 'neutral'],
      ['en', 'test', 'sentiment-regression', -0.75],
      ['en', 'test', 'dominance', 3.1],
      ['en', 'test', 'sentiment-classification', 'negative'],
      ['en', 'test', 'emotion-classification', 'anger|joy'],
    ]);
    expect(found.skipped).toEqual({ 'paraphrases of a question that is there': 1 });
    expect(found.examples.map(({ scale }) => scale && [scale.low, scale.high])).toEqual([
      [0, 1],
      [0, 3],
      null,
      [-4, 4],
      [1, 5],
      null,
      null,
    ]);
  });

  it('refuses answers off the scale, and lines that are no prompts', () => {
    const bad = [line('A number between 0 and 1.', 'x', 'Intensity Score', 7), '{"a": 1}', 'nothing'].join(
      '\n',
    );
    const found = violationsOf(() => imported('aaid', { 'dev.json': bad }));
    expect(found).toHaveLength(3);
    expect(found[0]).toContain('line 1: expected an answer on 0..1, got "7"');
  });
});

describe('sst', () => {
  it('reads the tables: scores, five classes and splits', () => {
    const found = imported('sst', {
      'stanfordSentimentTreebank/datasetSentences.txt':
        'sentence_index\tsentence\n1\tA -LRB- small -RRB- joy .\n2\tGrey .\n3\tSpelt élse\n',
      'stanfordSentimentTreebank/datasetSplit.txt': 'sentence_index,splitset_label\n1,1\n2,2\n3,3\n',
      'stanfordSentimentTreebank/dictionary.txt': 'A ( small ) joy .|0\nGrey .|1\n',
      'stanfordSentimentTreebank/sentiment_labels.txt': 'phrase ids|sentiment values\n0|0.81944\n1|0.4\n',
    });
    expect(told(found)).toEqual([
      ['en', 'train', 'sentiment-regression', 0.81944],
      ['en', 'train', 'sentiment-classification', 'very positive'],
      ['en', 'test', 'sentiment-regression', 0.4],
      ['en', 'test', 'sentiment-classification', 'negative'],
    ]);
    expect(found.skipped).toEqual({ 'sentences that the dictionary spells in another way': 1 });
    expect(violationsOf(() => imported('sst', { 'dictionary.txt': '' })).join()).toContain(
      'together, got none of',
    );
  });

  it('reads trees, and lines with labels from 0 or from 1', () => {
    const trees = imported('sst', {
      'trees/dev.txt': '(3 (2 A) (3 (3 fine) (2 day)))\n(0 (2 -LRB-) (1 no))\n',
    });
    expect(told(trees).map(([, , , label]) => label)).toEqual(['positive', 'very negative']);
    expect(trees.examples.map(({ text }) => text)).toEqual(['A fine day', '( no']);
    const lines = imported('sst', { 'sst_train.txt': '__label__5\tA fine day\n__label__1\tno\n' });
    expect(told(lines).map(([, , , label]) => label)).toEqual(['very positive', 'very negative']);
  });

  // The treebank's README: [0, 0.2], (0.2, 0.4], (0.4, 0.6], (0.6, 0.8], (0.8, 1.0].
  it.each([
    [0, 'very negative'],
    [0.2, 'very negative'],
    [0.21, 'negative'],
    [0.4, 'negative'],
    [0.6, 'neutral'],
    [0.8, 'positive'],
    [1, 'very positive'],
  ])('%f is %s', (score, label) => {
    expect(classOfScore(score)).toBe(label);
  });
});

it('tweeteval: texts and labels side by side, other tasks passed over', () => {
  const found = imported('tweeteval', {
    'datasets/emotion/train_text.txt': 'late again @user\nsunday\n',
    'datasets/emotion/train_labels.txt': '0\n1\n',
    'datasets/sentiment/val_text.txt': 'so-so\n',
    'datasets/sentiment/val_labels.txt': '1\n',
    'datasets/irony/test_text.txt': 'sure\n',
    'datasets/irony/test_labels.txt': '1\n',
  });
  expect(told(found)).toEqual([
    ['en', 'train', 'emotion-classification', 'anger'],
    ['en', 'train', 'emotion-classification', 'joy'],
    ['en', 'validation', 'sentiment-classification', 'neutral'],
  ]);
  expect(found.skipped).toEqual({ 'files of other tasks': 1 });
  const uneven = { 'emotion/test_text.txt': 'a b\nc d\n', 'emotion/test_labels.txt': '0\n' };
  expect(violationsOf(() => imported('tweeteval', uneven)).join()).toContain('which has 2, got 1');
});

it('brighter: tracks, languages, emotions that were not asked about, rows without gold', () => {
  const found = imported('brighter', {
    'track_a/train/deu.csv': 'id,text,Anger,Fear,Joy\nd1,"Der Zug, wieder",1,0,0\nd2,Regen,0,0,0\n',
    'track_a/test/ptbr.csv': 'id,text,anger,disgust,joy\np1,chuva,,,\np2,praia,0,,1\n',
    'track_b/dev/eng.csv': 'id,text,Anger,Joy\ne1,a letter,0,3\n',
  });
  expect(told(found)).toEqual([
    ['de', 'train', 'emotion-classification', 'anger'],
    ['de', 'train', 'emotion-classification', 'neutral'],
    ['pt-BR', 'test', 'emotion-classification', 'joy'],
    ['en', 'validation', 'anger', 0],
    ['en', 'validation', 'joy', 3],
  ]);
  expect(found.examples[2].labelSet).toEqual(['anger', 'joy', 'neutral']);
  expect(found.skipped).toEqual({ 'no gold labels': 1 });
});

it('isear: divided by |, with what people did not tell left out', () => {
  const found = imported('isear', {
    'isear.csv':
      'ID|EMOT|INTS|MYKEY|SIT|STATE\n1|1|3|110|"The day that á\nmy sister came back."|1\n2|7|4|111|[ No response.]|1\n3|2|0|112|A dog, at night.|1\n',
  });
  expect(told(found)).toEqual([
    ['en', null, 'emotion-classification', 'joy'],
    ['en', null, 'joy', 3],
    ['en', null, 'emotion-classification', 'fear'],
  ]);
  expect(found.examples[0].text).toBe('The day that my sister came back.');
  expect(found.skipped).toEqual({ 'no situation told': 1 });
});

it('dimabsa: texts with one aspect', () => {
  const rows = [
    { ID: 'a', Text: '茶很熱。', Quadruplet: [{ Aspect: '茶', VA: '6.00#5.25' }] },
    { ID: 'b', Text: '茶和飯。', Quadruplet: [{ VA: '6.00#5.00' }, { VA: '3.00#5.00' }] },
    { ID: 'c', Text: '飯。', Aspect: ['飯'] },
  ];
  const found = imported('dimabsa', {
    'zho_restaurant_train_alltasks.jsonl': rows.map((row) => JSON.stringify(row)).join('\n'),
  });
  expect(told(found)).toEqual([
    ['zh', 'train', 'sentiment-regression', 6],
    ['zh', 'train', 'arousal', 5.25],
  ]);
  expect(found.skipped).toEqual({
    'texts with several aspects, each with values of its own': 1,
    'no gold values': 1,
  });
});

it('goemotions-raw: labels that two raters gave, with all votes', () => {
  const columns = ['text', 'id', 'rater_id', 'example_very_unclear', ...goEmotionsLabels];
  const row = (id: string, rater: number, unclear: string, labels: readonly string[]) =>
    [
      `tea ${id}`,
      id,
      rater,
      unclear,
      ...goEmotionsLabels.map((label) => Number(labels.includes(label))),
    ].join(',');
  const found = imported('goemotions-raw', {
    'goemotions_1.csv': [
      columns.join(','),
      row('x', 1, 'False', ['joy']),
      row('x', 2, 'False', ['joy', 'love']),
      row('y', 1, 'False', ['fear']),
    ].join('\n'),
    'goemotions_2.csv': [columns.join(','), row('x', 3, 'True', []), row('x', 4, 'False', ['anger'])].join(
      '\n',
    ),
  });
  expect(found.examples.map(({ gold, text }) => [text, gold.labels, gold.raters, gold.votes])).toEqual([
    ['tea x', ['joy'], 3, { joy: 2, love: 1, anger: 1 }],
  ]);
  expect(found.skipped).toEqual({
    'raters who found a text unclear': 1,
    'texts without a label that two raters gave': 1,
  });
});

it.each([
  ['a/training/x.txt', 'train'],
  ['2018-E-c-En-dev.txt', 'validation'],
  ['EI-reg-En-fear-test-gold.txt', 'test'],
  ['train/anger.test.gold.txt', 'test'],
  ['isear.csv', undefined],
])('%s is of the split %s', (path, split) => {
  expect(splitIn(path)).toBe(split);
});

describe('study', () => {
  const row = (more: object = {}) =>
    `${JSON.stringify({
      ...{ id: 'a/1', text: 'a long walk home', task: 'sentiment-regression', scale: { low: -4, high: 4 } },
      ...{ value: 1.5, ratings: [1, 2], raters: 2, source: 'study:by-hand', licence: 'MIT AND CC-BY-4.0' },
      ...{ language: 'de' },
      ...more,
    })}\n`;
  const labelled = {
    ...{ id: 'a/2', task: 'sentiment-classification', scale: undefined, value: undefined, ratings: [] },
    ...{ labels: ['good', 'bad'], answer: ['good'], votes: { good: 2, bad: 1 }, raters: 3 },
  };
  const study = importers.find((one) => one.format === 'study')!;

  it('takes every rating and vote, called after the study under the licence of its rows', () => {
    const into = new Import('study', '', 'sources[0].import');
    study.read([{ path: 'rows.jsonl', text: row() + row(labelled) }], into);
    into.end(study, []);
    expect([into.name, into.licence]).toEqual(['study:by-hand', 'MIT AND CC-BY-4.0']);
    const [number, label] = into.examples;
    expect(number).toMatchObject({
      ...{ id: 'study:by-hand/a/1', source: 'study:by-hand', language: 'de', split: null },
      gold: { value: 0.6875, spread: 0.0625, raters: 2, ratings: [0.625, 0.75] },
    });
    expect(label).toMatchObject({
      labelSet: ['bad', 'good'],
      gold: { labels: ['good'], raters: 3, votes: { good: 2, bad: 1 } },
    });
  });

  it('keeps the name and the licence that the spec says', () => {
    const into = new Import('mine', 'CC0-1.0', 'sources[0].import');
    study.read([{ path: 'rows.jsonl', text: row() }], into);
    expect([into.name, into.licence, into.examples[0].source]).toEqual(['mine', 'CC0-1.0', 'mine']);
  });

  it('refuses rows that contradict themselves, each by its line', () => {
    expect(
      violationsOf(() =>
        imported('study', {
          'rows.jsonl': [
            ...[
              '{',
              row({ task: 'mood' }),
              row({ id: '3', raters: 3 }),
              row({ id: '4', ratings: [1, 1] }),
              row({ id: '5', value: 9, ratings: [] }),
            ],
            ...[row({ ...labelled, id: '6', answer: ['fair'] }), row({ ...labelled, id: '7', answer: [] })],
            ...[row({ id: 'b' }), row({ id: 'b' }), row({ id: 'c', source: 'study:other' })],
          ]
            .map((line) => line.trim())
            .join('\n'),
        }),
      ).map((one) => one.replace(/^.*line /, '')),
    ).toEqual([
      '1: expected one JSON object, got "{"',
      expect.stringMatching(/^2: "task": /),
      '3: expected 3 ratings whose mean is 1.5, got [1,2]',
      '4: expected 2 ratings whose mean is 1.5, got [1,1]',
      '5: expected numbers on -4..4, got [9]',
      '6: expected labels among good, bad, got "fair"',
      '7: expected one label in "answer", got []',
      '9: expected each id once, got "b" again',
      '10: expected rows of study:by-hand, got study:other: import each study by itself',
    ]);
  });
});
