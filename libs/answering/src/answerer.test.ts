import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  answerTokens,
  defaultQuestion,
  lexiconsJson,
  type Question,
  questionTokens,
  tasks,
} from '@emotune/affect';
import { InvalidArgument, NotFound, Rng } from '@emotune/base';
import { OnnxExecutor } from '@emotune/engine';
import {
  initialLora,
  initialTensors,
  loadModel,
  parseConfig,
  Scorer,
  saveAdapter,
  saveModel,
} from '@emotune/models';
import { Tokenizer, trainBpe } from '@emotune/text';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Answerer } from './answerer.js';

const tokenizerJson = trainBpe(['Task: Text: Cues: anger, fear, joy, negative, neutral, positive'], {
  vocabSize: 300,
  specialTokens: ['<s>', '</s>'],
});
const config = parseConfig({
  model_type: 'llama',
  vocab_size: 300,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 40,
  max_position_embeddings: 400,
  tie_word_embeddings: true,
});

let root: string;
let folder: string;
let answerer: Answerer;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'emotune-answering-'));
  folder = join(root, 'model');
  const tensors = initialTensors(config, 3);
  // Larger weights than a fresh model has, so that likelihoods differ.
  for (const t of tensors.values())
    if (t.shape.length === 2)
      (t.data as Float32Array).forEach((v, i, all) => {
        all[i] = 6 * v;
      });
  await saveModel(
    folder,
    { config, tensors },
    { files: { 'tokenizer.json': JSON.stringify(tokenizerJson) } },
  );
  answerer = await Answerer.open({ folder });
});

afterAll(async () => {
  await answerer?.close();
  await rm(root, { recursive: true, force: true });
});

const questions: Question[] = [
  ...tasks.map((task) =>
    defaultQuestion(task, 'What a fine, fine day 😀', { cues: 'fine +1; positive +0.4' }),
  ),
  defaultQuestion('sentiment-regression', 'meh', { scale: { low: 0, high: 30 }, cues: '' }),
  defaultQuestion('emotion-regression', 'x'.repeat(9_000), {
    emotion: 'fear',
    cues: 'fine +1; positive +0.4',
  }),
  defaultQuestion('emotion-classification', '', {
    labels: ['joy', 'joyful', 'fear'],
    cues: 'fine +1; positive +0.4',
  }),
];

describe('answers', () => {
  it('are distributions over what the question allows, with a value and interval on its scale', async () => {
    const answers = await answerer.ask(questions);
    expect(answers).toHaveLength(questions.length);
    expect(answers.map(({ cut }) => cut)).toEqual(questions.map(({ text }) => text.length > 1_000));
    for (const [i, answer] of answers.entries()) {
      const total = answer.distribution.reduce((sum, { probability }) => sum + probability, 0);
      expect(total).toBeCloseTo(1, 9);
      if (questions[i].scale === null) {
        expect(answer.value).toBeNull();
        expect(answer.labels.length).toBeGreaterThan(0);
        for (const label of answer.labels) expect(questions[i].labelSet).toContain(label);
        expect(answer.marginals.map(({ label }) => label)).toEqual([...questions[i].labelSet].sort());
        for (const { probability } of answer.marginals) {
          expect(probability).toBeGreaterThan(0);
          expect(probability).toBeLessThanOrEqual(1);
        }
      } else {
        expect(answer.low).toBeGreaterThanOrEqual(0);
        expect(answer.high).toBeLessThanOrEqual(1);
        expect(answer.low!).toBeLessThanOrEqual(answer.high!);
        const mean = answer.distribution.reduce((sum, d) => sum + d.probability * d.value!, 0);
        expect(answer.value).toBeCloseTo(mean, 9);
      }
    }
  });

  it('do not depend on what else is asked', async () => {
    const together = await answerer.ask(questions);
    const alone = await Promise.all(questions.map(async (q) => (await answerer.ask([q]))[0]));
    for (const [i, { distribution }] of together.entries())
      distribution.forEach(({ probability }, n) => {
        expect(probability).toBeCloseTo(alone[i].distribution[n].probability, 5);
      });
    expect(await answerer.ask([])).toEqual([]);
  });

  it('have the likelihood of their tokens one after another', async () => {
    const { tensors } = await loadModel(folder);
    const scorer = await Scorer.create({ config, tensors }, OnnxExecutor.create);
    try {
      // The probability of one token at a time, as sampling would see it.
      const stepwise = async (prompt: Int32Array, answer: Int32Array) => {
        let sum = 0;
        for (const [i, token] of answer.entries()) {
          const before = Int32Array.from([...prompt, ...answer.subarray(0, i)]);
          const [[score]] = await scorer.score([{ prompt: before, candidates: [Int32Array.of(token)] }]);
          sum += score;
        }
        return sum;
      };
      const check = async (q: Question, golds: readonly string[], ended: boolean) => {
        const { tokens: prompt } = questionTokens(answerer.tokenizer, q, 300);
        const [{ distribution }] = await answerer.ask([q]);
        const candidates = golds.map((gold) => distribution.find(({ answer }) => answer === gold)!);
        const answers = await answerer.ask(
          golds.map(() => q),
          { golds: candidates },
        );
        const logs: number[] = [];
        for (const [i, gold] of golds.entries()) {
          const tokens = answerTokens(answerer.tokenizer, gold);
          expect(answers[i].goldLogProb).toBeCloseTo(await stepwise(prompt, tokens), 4);
          logs.push(await stepwise(prompt, ended ? tokens : tokens.subarray(0, -1)));
        }
        const ratio = candidates[0].probability / candidates[1].probability;
        expect(Math.log(ratio)).toBeCloseTo(logs[0] - logs[1], 4);
      };
      await check(questions[0], ['negative', 'positive'], false);
      await check(questions[1], ['-3.1', '2.0'], false);
      // One of these answers begins another, so the end of sequence is part of each.
      await check({ ...questions[4], scale: { low: 0, high: 60 }, decimals: 0 }, ['3', '35'], true);
      await check(questions[6], ['joy', 'joyful'], true);
    } finally {
      await scorer.close();
    }
  });

  it('know the likelihood of a gold answer that is no candidate', async () => {
    const q = questions[2];
    const labels = ['anger', 'fear', 'joy'];
    const [answer] = await answerer.ask([q], { golds: [{ value: null, labels }] });
    expect(answer.distribution.some((d) => d.labels.length === 3)).toBe(false);
    expect(answer.goldLogProb).toBeLessThan(0);
    await expect(answerer.ask([q], { golds: [{ value: null, labels: ['hope'] }] })).rejects.toThrow(
      'labels: expected labels among',
    );
  });
});

describe('opening', () => {
  it('merges an adapter into its base model', async () => {
    const lora = { rank: 2, alpha: 4, targets: ['q_proj', 'v_proj'] };
    const rng = Rng.of('adapter');
    // B is 0 at first, so the adapter adds nothing.
    const same = initialLora(config, lora, 1);
    const tensors = initialLora(config, lora, 1);
    for (const { data } of tensors.values())
      (data as Float32Array).forEach((_, i, all) => {
        all[i] = rng.normal() / 4;
      });
    await saveAdapter(join(root, 'adapter'), { lora, tensors }, config, 'model');
    await saveAdapter(join(root, 'nothing'), { lora, tensors: same }, config, 'model');
    const [before] = await answerer.ask([questions[0]]);
    for (const [name, changes] of [
      ['adapter', true],
      ['nothing', false],
    ] as const) {
      const adapted = await Answerer.open({ folder, adapter: join(root, name) });
      const [after] = await adapted.ask([questions[0]]);
      const difference = Math.max(
        ...after.distribution.map((d, i) => Math.abs(d.probability - before.distribution[i].probability)),
      );
      expect(difference > 1e-4).toBe(changes);
      await adapted.close();
    }
  });

  it('has the lexicons that lie beside its weights, or those that npm installs', async () => {
    expect(answerer.lexicons.explain('a good lantern').cueText).toBe('good +3; positive +0.4');
    const other = join(root, 'with-lexicons');
    await cp(folder, other, { recursive: true });
    const terms = new Map([['lantern', [0.5]]]);
    const lantern = { name: 'own', language: 'en', dimensions: ['joy'], scale: 1, terms };
    await writeFile(
      join(other, 'lexicons.json'),
      lexiconsJson([{ ...lantern, licence: 'MIT', source: 'own', redistributable: true }]),
    );
    const taught = await Answerer.open({ folder: other });
    expect(taught.lexicons.explain('a good lantern').cueText).toBe('good +3; positive +0.4; joy +0.5');
    await taught.close();
    await writeFile(join(other, 'lexicons.json'), '{"version":2}');
    await expect(Answerer.open({ folder: other })).rejects.toThrow('lexicons.json.version');
  });

  it('refuses what is not a tokenizer, or one that does not fit', async () => {
    const other = join(root, 'broken');
    await saveModel(other, await loadModel(folder), { files: { 'tokenizer.json': '{"model":{}}' } });
    await expect(Answerer.open({ folder: other })).rejects.toThrow(InvalidArgument);
    await writeFile(join(other, 'tokenizer.json'), 'not json');
    await expect(Answerer.open({ folder: other })).rejects.toThrow('expected JSON');
    const large = trainBpe([await readFile(join(folder, 'config.json'), 'utf8')], {
      vocabSize: 310,
      specialTokens: ['</s>'],
    });
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify(large));
    expect(Tokenizer.parse(large).vocabSize).toBe(310);
    await expect(Answerer.open({ folder: other })).rejects.toThrow("the model's vocabulary of 300, got 309");
    await rm(join(other, 'tokenizer.json'));
    await expect(Answerer.open({ folder: other })).rejects.toThrow(NotFound);
  });
});
