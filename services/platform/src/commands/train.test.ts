import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labelGold, tasks } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { runCommand } from '@emotune/cli/testing';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeShard, type FeatureRow } from '@emotune/records';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../commands.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-train-'));
const vocabSize = 64;

/** Random prompts; the answer follows from the last token. */
function rows(split: string, count: number): FeatureRow[] {
  const rng = Rng.of(split);
  return Array.from({ length: count }, (_, i) => {
    const key = 4 + rng.int(6);
    const filler = Array.from({ length: 8 }, () => 10 + rng.int(vocabSize - 10));
    return {
      id: `${split}-${i}`,
      task: tasks[i % 4],
      source: 'test',
      language: 'en',
      text: '',
      emotion: null,
      prompt: '',
      answer: '',
      tokens: Int32Array.from([...filler, key, 13 - key, 1]),
      answerStart: filler.length + 1,
      gold: labelGold([]),
      labelSet: [],
      multiLabel: false,
      scale: null,
      decimals: 0,
    };
  });
}

beforeAll(async () => {
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: vocabSize,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 1,
    pad_token_id: 2,
  });
  await saveModel(
    join(folder, 'base'),
    { config, tensors: initialTensors(config, 7) },
    { files: { 'tokenizer.json': '{}' } },
  );
  mkdirSync(join(folder, 'features'));
  for (const [split, count] of [
    ['train', 200],
    ['validation', 20],
  ] as const)
    writeFileSync(join(folder, 'features', `${split}-00000.arrow`), encodeShard(rows(split, count)));
  writeFileSync(
    join(folder, 'train.yaml'),
    'model: base\nfeatures: features\nout: tuned\ntokens: 3000\nbatchTokens: 256\nmethod: lora\n',
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const train = (file: string, ...more: string[]) =>
  runCommand(['train', '-f', file, ...more], { commands, cwd: join(folder, 'features') });

describe('train', () => {
  it('writes a model to a folder beside its YAML', async () => {
    const { code, stdout, stderr } = await train('../train.yaml', '--json');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      out: join(folder, 'tuned'),
      objective: expect.any(Number),
      // The rows are too few.
      calibrated: [],
      forgetting: {
        average: expect.any(Number),
        backwardTransfer: expect.any(Number),
        maximum: expect.any(Number),
        tasks: {
          'emotion-classification': expect.any(Number),
          'sentiment-classification': expect.any(Number),
          'sentiment-regression': expect.any(Number),
        },
      },
      step: expect.any(Number),
      tokens: expect.any(Number),
      tokensPerSecond: expect.any(Number),
      stopped: null,
    });
    expect(stderr).toMatch(/^\d+ tokens: validation objective \d/m);
    expect(existsSync(join(folder, 'tuned', 'adapter_model.safetensors'))).toBe(true);
    expect(await train('../train.yaml')).toMatchObject({ code: 2, stdout: '' });
  });

  it('goes on from the last checkpoint of another run, with settings of its own', async () => {
    const part = (name: string, more: string) =>
      writeFileSync(
        join(folder, `${name}.yaml`),
        `model: base\nfeatures: features\nout: ${name}\ntokens: 3000\nbatchTokens: 256\n${more}`,
      );
    part('first', 'until: 1500\n');
    part('second', 'learningRate: 0.002\nstartFrom: first.checkpoints\n');
    part('other', 'optimizer: lion\nstartFrom: first.checkpoints\n');
    const [first, second] = [await train('../first.yaml', '--json'), await train('../second.yaml', '--json')];
    expect([first.code, second.code], first.stderr + second.stderr).toEqual([0, 0]);
    const [before, after] = [first, second].map(({ stdout }) => JSON.parse(stdout));
    for (const { tokens } of [before, after]) expect(Math.abs(tokens - 1500)).toBeLessThan(256);
    expect(after.objective).toBeLessThan(before.objective);
    const other = await train('../other.yaml');
    expect(other).toMatchObject({ code: 2 });
    expect(other.stderr).toMatch(
      /^ {2}startFrom\.\S+: expected none, got \[.*\]: the run before had another/m,
    );
    rmSync(join(folder, 'first.checkpoints'), { recursive: true });
    rmSync(join(folder, 'second'), { recursive: true });
    rmSync(join(folder, 'second.checkpoints'), { recursive: true });
    expect(await train('../second.yaml')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`there is no checkpoint in ${join(folder, 'first.checkpoints')}`),
    });
  });

  it('names everything that is wrong with its YAML', async () => {
    writeFileSync(join(folder, 'bad.yaml'), 'modle: base\nfeatures: features\nout: x\ntokens: 0\n');
    const { code, stderr } = await train('../bad.yaml');
    expect(code).toBe(2);
    expect(stderr).toContain('  modle: unknown field, did you mean "model"?');
    expect(stderr).toMatch(/^ {2}tokens: .*got 0$/m);
  });

  it('finds no model where there is none', async () => {
    writeFileSync(join(folder, 'lost.yaml'), 'model: lost\nfeatures: features\nout: y\n');
    const { code, stderr } = await train('../lost.yaml');
    expect([code, stderr]).toEqual([3, expect.stringContaining('lost')]);
  });
});
