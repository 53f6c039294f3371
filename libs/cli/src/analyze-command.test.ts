import { describe, expect, it } from 'vitest';
import { emotune, json, text } from './test-command-line.js';
import { asked } from './test-server.js';
import { type Outcome } from './testing.js';

describe('analyze', () => {
  const cues = [
    {
      text: 'very good',
      lexicon: 'vader',
      dimension: 'valence',
      score: 2.2,
      start: 0,
      end: 9,
      modifier: 'very',
    },
  ];

  const trust = { calibrated: true, trained: true, skill: 'better' };

  it('asks all four unless told otherwise, as documented JSON', async () => {
    expect(await json('analyze', 'Very good!')).toEqual([
      {
        text: 'Very good!',
        task: 'sentiment-classification',
        labels: ['joy', 'fear'],
        label: 'joy',
        confidence: 0.7,
        within: ['fear', 'joy'],
        probabilities: { joy: 0.75, fear: 0.25 },
        ...trust,
        cues,
        model: 'first@aa11',
      },
      {
        text: 'Very good!',
        task: 'sentiment-regression',
        scale: { low: 0, high: 1 },
        value: 0.5,
        interval: { low: 0.25, high: 0.75 },
        distribution: [
          { value: 0.25, probability: 0.5 },
          { value: 0.75, probability: 0.5 },
        ],
        ...trust,
        cues,
        model: 'first@aa11',
      },
      expect.objectContaining({
        task: 'emotion-classification',
        labels: ['fear', 'joy'],
        probabilities: { joy: 0.75, fear: 0.25 },
      }),
      expect.objectContaining({ task: 'emotion-regression', emotion: 'joy', value: 0.5 }),
    ]);
  });

  it('sends what was asked for', async () => {
    const [answer] = await json(
      'analyze',
      'x',
      '--task',
      'emotion-regression',
      '--scale',
      '-4..4',
      '--emotion',
      'fear',
      '--model',
      'first@aa11',
    );
    expect(answer).toMatchObject({ emotion: 'fear', scale: { low: -4, high: 4 } });
    expect(asked.get('analyzeStream')).toMatchObject({
      model: 'first@aa11',
      task: 'TASK_EMOTION_REGRESSION',
    });
    await json('analyze', 'x', '--task', 'sentiment-classification', '--labels', 'bad, good');
    expect(asked.get('analyzeStream')).toMatchObject({ labels: ['bad', 'good'] });
  });

  it('reads the lines of standard input', async () => {
    const { code, stdout } = await emotune(['analyze', '--task', 'sentiment-regression', '--json'], {
      stdin: 'One\n\n  \nTwo\r\nThree',
    });
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).text),
    ).toEqual(['One', 'Two', 'Three']);
  });

  it('reads standard input as files are read', async () => {
    const ask = (stdin: Uint8Array | string) =>
      emotune(['analyze', '--task', 'sentiment-regression', '--json'], { stdin });
    for (const bytes of [Buffer.from('\ufeffschön\rgut'), Buffer.from('\ufeffschön\ngut', 'utf16le')]) {
      const { code, stdout } = await ask(bytes);
      const texts = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).text);
      expect([code, texts]).toEqual([0, ['schön', 'gut']]);
    }
    const latin = await ask(Buffer.from('fine\nsch\xf6n\n', 'latin1'));
    const refused = ({ code, stderr }: Outcome) => [code, JSON.parse(stderr).error.message];
    expect(refused(latin)).toEqual([
      2,
      expect.stringContaining('standard input, line 2: expected UTF-8, got the byte 0xF6 after "sch"'),
    ]);
    const zero = await ask('fine\n\nbad \0\n');
    expect(refused(zero)).toEqual([
      2,
      expect.stringContaining('standard input, line 3: expected a text without U+0000'),
    ]);
  });

  it('shows answers to people', async () => {
    expect(await text('analyze', 'Very good!')).toBe(`"Very good!"
  sentiment-classification   joy, right with 70 % (joy 75 %, fear 25 %)
  sentiment-regression       0.5 on 0..1, 80 % in 0.25 … 0.75
  emotion-classification     fear, joy, right with 70 % (joy 75 %, fear 25 %)
  emotion-regression of joy  0.5 on 0..1, 80 % in 0.25 … 0.75
  cues                       very good (vader 2.2)
  model                      first@aa11
  note                       the text was too long for the model and lost its end
`);
  });

  it('asks for what the model says as it is, and warns of a language that it never saw', async () => {
    const task = ['--task', 'sentiment-classification'];
    const [raw] = await json('analyze', 'Ihanaa!', ...task, '--raw', '--language', 'fi');
    expect(asked.get('analyzeStream')).toMatchObject({ raw: true, language: 'fi' });
    const warnings = ['the model saw no text in fi: it was trained on en'];
    expect(raw).toMatchObject({ calibrated: false, warnings });
    expect(raw).not.toHaveProperty('within');
    expect(await text('analyze', 'Ihanaa!', '--language', 'fi')).toContain(
      `warning                    ${warnings[0]}\n`,
    );
  });

  it('needs a text', async () => {
    const { code, stderr } = await emotune(['analyze']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('  TEXT: expected at least one')]);
  });
});
