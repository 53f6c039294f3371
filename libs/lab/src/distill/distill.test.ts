import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultQuestion, paraphrases, type Question, renderPrompt } from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { Rng } from '@emotune/base';
import { runCommand } from '@emotune/cli/testing';
import { float32 } from '@emotune/engine';
import { type Family, initialTensors, loadModel, parseConfig, saveModel } from '@emotune/models';
import { trainBpe } from '@emotune/text';
import { Interrupted, parseSettings } from '@emotune/training';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labCommands } from '../index.js';
import { distillStudent } from './distill.js';
import { distillFields } from './file.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-distill-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shapes = {
  llama: {
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 512,
  },
  opt: { num_hidden_layers: 1, num_attention_heads: 2, ffn_dim: 32, max_position_embeddings: 512 },
  bloom: { n_layer: 1, n_head: 2 },
};

/** A model with random weights and a tokenizer of its own; larger weights have opinions. */
async function writeModel(
  name: string,
  family: Family,
  { vocabSize, seed, scale = 1 }: { vocabSize: number; seed: number; scale?: number },
) {
  const specialTokens = ['<s>', '</s>', '<pad>'];
  const tokenizer = trainBpe(wordings, { vocabSize, specialTokens });
  const config = parseConfig({
    model_type: family,
    vocab_size: vocabSize,
    hidden_size: 16,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 1,
    pad_token_id: 2,
    ...shapes[family],
  });
  const tensors = new Map(
    [...initialTensors(config, seed)].map(([tensor, { shape, data }]) => [
      tensor,
      float32(
        shape,
        shape.length === 1 ? (data as Float32Array) : (data as Float32Array).map((x) => x * scale),
      ),
    ]),
  );
  await saveModel(
    join(folder, name),
    { config, tensors },
    {
      files: {
        'tokenizer.json': JSON.stringify(tokenizer),
        'README.md': '---\nlicense: apache-2.0\n---\n',
      },
    },
  );
}

const words = ['ferry', 'late', 'view', 'great', 'rain', 'hope', 'cold', 'bread', 'lost', 'song'];
const rng = Rng.of('distill texts');
const texts = Array.from({ length: 40 }, () =>
  Array.from({ length: 6 }, () => words[rng.int(words.length)]).join(' '),
);
const labels = ['negative', 'neutral', 'positive'];
const ask = { labels, cues: '' };
const scale = { low: -1, high: 1 };
const questions: Question[] = texts
  .slice(0, 20)
  .flatMap((text) => [
    { ...defaultQuestion('sentiment-classification', text, ask), multiLabel: false },
    defaultQuestion('sentiment-regression', text, { scale, cues: '' }),
  ]);
/** What tokenizers learn their words from. */
const wordings = questions.flatMap((question) =>
  Array.from({ length: paraphrases }, (_, paraphrase) => renderPrompt({ ...question, paraphrase })),
);

beforeAll(async () => {
  await writeModel('teacher', 'llama', { vocabSize: 420, seed: 1, scale: 20 });
  await writeModel('second', 'bloom', { vocabSize: 400, seed: 2, scale: 12 });
  await writeModel('student', 'opt', { vocabSize: 440, seed: 3 });
  writeFileSync(join(folder, 'texts.txt'), `${texts.join('\n')}\n\n${texts[0]}\n`);
});

/** Mean KL of the teacher from a model, over the questions of each kind. */
async function distances(teacher: string, student: string): Promise<number[]> {
  const [p, q] = await Promise.all(
    [teacher, student].map(async (name) => {
      const answerer = await Answerer.open({ folder: join(folder, name) });
      const answers = await answerer.ask(questions);
      await answerer.close();
      return answers.map(({ distribution }) => distribution.map(({ probability }) => probability));
    }),
  );
  const kl = p.map((probabilities, i) =>
    probabilities.reduce((sum, x, c) => sum + (x > 0 ? x * Math.log(x / q[i][c]) : 0), 0),
  );
  const mean = (kind: number) => kl.filter((_, i) => i % 2 === kind).reduce((a, x) => a + x / 20, 0);
  return [mean(0), mean(1)];
}

const asked = [
  { task: 'sentiment-classification', labels },
  { task: 'sentiment-regression', scale },
];
const yaml = (more: object = {}) =>
  JSON.stringify({
    teachers: [{ model: 'teacher' }],
    student: 'student',
    out: 'taught',
    data: { texts: ['texts.txt'] },
    questions: asked,
    cues: 0,
    learningRate: 0.01,
    batchTokens: 1024,
    epochs: 16,
    heldOut: 0.1,
    ...more,
  });

async function run(file: string, ...options: string[]) {
  writeFileSync(join(folder, 'distill.yaml'), file);
  return runCommand(['distill', '-f', '../distill.yaml', ...options], {
    commands: labCommands,
    cwd: join(folder, 'teacher'),
  });
}

describe('distill', () => {
  it('brings an OPT student nearer to a LLaMA teacher of other tokens, on texts without golds', async () => {
    const before = await distances('teacher', 'student');
    const { code, stdout, stderr } = await run(yaml(), '--json');
    expect(code, stderr).toBe(0);
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({ out: join(folder, 'taught'), texts: 40, questions: 80, rows: 72 });
    const after = await distances('teacher', 'taught');
    expect(Math.min(...before)).toBeGreaterThan(0.1);
    // A part of what the teacher says of a text is chance, which so small a student cannot learn.
    expect(Math.max(...after.map((distance, kind) => distance / before[kind]))).toBeLessThan(0.6);
    const { config } = await loadModel(join(folder, 'taught'));
    expect(config.family).toBe('opt');
    const card = readFileSync(join(folder, 'taught', 'README.md'), 'utf8');
    expect(card).toContain('license: apache-2.0');
    expect(card).toContain('| texts.txt | unknown | 40 |');
    expect(JSON.parse(readFileSync(join(folder, 'taught', 'emotune.json'), 'utf8'))).toMatchObject({
      cues: false,
      endTokenId: 1,
      tasks: [
        { task: 'sentiment-classification', labels, rows: 36 },
        { task: 'sentiment-regression', scale, rows: 36 },
      ],
    });
    expect((await run(yaml())).stderr).toContain('expected no folder yet');
  });

  it('asks each teacher once, mixes their answers, and asks again for what is damaged', async () => {
    const both = {
      teachers: [{ model: 'teacher', weight: 3 }, { model: 'second' }],
      work: 'kept',
      epochs: 0.1,
    };
    const first = await run(yaml({ ...both, out: 'one' }));
    expect(first.stderr).toMatch(/asking teacher 80 questions/);
    const again = await run(yaml({ ...both, out: 'two' }));
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).not.toContain('asking');
    const weights = (name: string) => readFileSync(join(folder, name, 'model.safetensors'));
    expect(weights('two').equals(weights('one'))).toBe(true);
    const stores = readdirSync(join(folder, 'kept', 'answers'));
    expect(stores).toHaveLength(2);
    const store = join(folder, 'kept', 'answers', stores[0]);
    writeFileSync(join(store, readdirSync(store)[0]), '{"key":');
    const mended = await run(yaml({ ...both, out: 'three' }));
    expect(mended.stderr).toMatch(/not what it was when it was written/);
    expect(weights('three').equals(weights('one'))).toBe(true);
  });

  it('interrupted and repeated, has the same weights', async () => {
    const options = (out: string, more: object = {}) => ({
      file: distillFields.parse({
        teachers: [{ model: join(folder, 'teacher') }],
        student: join(folder, 'student'),
        out: join(folder, out),
        work: join(folder, `${out}.work`),
        data: { texts: [join(folder, 'texts.txt')] },
        questions: asked,
        temperature: 2,
        epochs: 1,
      }),
      settings: parseSettings({ curriculum: 'mixed', batchTokens: 512 }),
      locate: { cacheDir: folder, download: false },
      signal: new AbortController().signal,
      note: () => {},
      onAsking: () => {},
      onMeasurement: () => {},
      ...more,
    });
    await distillStudent(options('straight'));
    const abort = new AbortController();
    const stopped = distillStudent(
      options('resumed', {
        signal: abort.signal,
        onMeasurement: ({ step }: { step: number }) => {
          if (step === 3) abort.abort();
        },
      }),
    );
    await expect(stopped).rejects.toThrow(Interrupted);
    const steps: number[] = [];
    await distillStudent(
      options('resumed', { onMeasurement: ({ step }: { step: number }) => steps.push(step) }),
    );
    expect(steps[0]).toBe(4);
    const [p, q] = ['straight', 'resumed'].map((name) =>
      readFileSync(join(folder, name, 'model.safetensors')),
    );
    expect(q.equals(p)).toBe(true);
  });

  it('names what is wrong with its file, its models and its questions', async () => {
    const wrong = async (more: object) => {
      const { code, stderr } = await run(yaml({ out: 'wrong', ...more }));
      expect(code).toBe(2);
      return stderr;
    };
    expect(await wrong({ tokens: 1000 })).toContain('epochs: expected none beside tokens');
    expect(await wrong({ tempertaure: 2 })).toContain(
      'tempertaure: unknown field, did you mean "temperature"?',
    );
    expect(await wrong({ questions: [{ task: 'sentiment-classification', labels: ['a'] }] })).toContain(
      'questions[0].labels: expected every label that may occur (two at least)',
    );
    expect(await wrong({ questions: [{ task: 'emotion-regression', emotion: 'joy' }] })).toContain(
      'questions[0].scale: expected a range',
    );
    expect(await wrong({ data: { corpora: ['goemotion'] } })).toContain('did you mean "goemotions');
    expect(await wrong({ data: {} })).toContain('data: expected corpora, dataset or texts');
    expect(await wrong({ maxTokens: 40 })).toContain('student: expected a model that holds the');
    expect(await wrong({ loss: { numberTokens: {} } })).toContain(
      'distillation: expected none with losses of numbers',
    );
    expect((await run(yaml({ out: 'wrong', questions: undefined }))).stderr).toContain(
      'questions: expected what to ask',
    );
  });
});
