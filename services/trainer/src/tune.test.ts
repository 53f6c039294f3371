import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AlreadyExists, InvalidArgument, NotFound } from '@emotune/base';
import { loadAdapter, loadModel, mergeAdapter } from '@emotune/models';
import { Interrupted, parseSettings } from '@emotune/training';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeTinyInputs } from './testing.js';
import { trainOnce, tune } from './tune.js';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-tune-'));
  await writeTinyInputs(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = (more: object = {}) => ({
  baseModel: join(folder, 'base'),
  features: join(folder, 'features'),
  out: join(folder, 'out'),
  settings: parseSettings({ tokens: 4000, batchTokens: 256, validationExamples: 20, ...more }),
});

describe('trainOnce', () => {
  it('trains from folders to a folder, which must be new', async () => {
    const result = await trainOnce(options());
    expect(result.best!.objective).toBeGreaterThan(0);
    expect((await loadModel(join(folder, 'out'))).config.family).toBe('llama');
    await expect(trainOnce(options())).rejects.toThrow(AlreadyExists);
  });

  it('makes an adapter', async () => {
    await trainOnce(options({ method: 'lora' }));
    expect(readdirSync(join(folder, 'out')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'emotune.json',
      'generation_config.json',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const read = (name: string) => JSON.parse(readFileSync(join(folder, 'out', name), 'utf8'));
    // The rows end with token 1.
    expect([read('generation_config.json').eos_token_id, read('emotune.json').endTokenId]).toEqual([1, 1]);
  });

  it('hands on the lexicons whose cues the rows carry', async () => {
    writeFileSync(join(folder, 'features', 'lexicons.json'), '{"version":1,"lexicons":[]}');
    await trainOnce(options());
    expect(readFileSync(join(folder, 'out', 'lexicons.json'), 'utf8')).toBe('{"version":1,"lexicons":[]}');
  });

  it('makes an adapter of another form, with the modules that it trains whole', async () => {
    const lora = { dora: true, modulesToSave: ['norm', 'lm_head'], rankPattern: { q_proj: 2 } };
    await trainOnce(options({ method: 'lora', lora }));
    const base = await loadModel(join(folder, 'base'));
    const adapter = await loadAdapter(join(folder, 'out'), base.config);
    expect(adapter.lora).toMatchObject(lora);
    const [merged, name] = [mergeAdapter(base, adapter), 'model.norm.weight'];
    expect(merged.tensors.get(name)).toEqual(adapter.tensors.get(name));
    expect(merged.tensors.get(name)).not.toEqual(base.tensors.get(name));
  });

  it('leaves frozen blocks and tables as they were in a whole checkpoint', async () => {
    await trainOnce(options({ full: { trainableLayers: 1 } }));
    const [base, tuned] = [await loadModel(join(folder, 'base')), await loadModel(join(folder, 'out'))];
    const top = `model.layers.${base.config.layers - 1}.`;
    for (const [name, { data }] of base.tensors) {
      const same = Buffer.from(data.buffer).equals(Buffer.from(tuned.tensors.get(name)!.data.buffer));
      expect([name, same]).toEqual([name, !name.startsWith(top)]);
    }
  });

  it('interrupted, leaves no result but a checkpoint to go on from', async () => {
    const checkpoints = join(folder, 'checkpoints');
    const abort = new AbortController();
    const stopped = trainOnce({
      ...options(),
      checkpoints,
      signal: abort.signal,
      onMeasurement: ({ step }) => {
        if (step === 4) abort.abort();
        return 'continue';
      },
    });
    await expect(stopped).rejects.toThrow(Interrupted);
    expect(existsSync(join(folder, 'out'))).toBe(false);
    let first = 0;
    await trainOnce({
      ...options(),
      checkpoints,
      onMeasurement: ({ step }) => {
        first ||= step;
        return 'continue';
      },
    });
    expect(first).toBe(5);
  });

  it('tells where to find features that are not where they should be', async () => {
    const lost = { ...options(), features: join(folder, 'lost') };
    await expect(trainOnce(lost)).rejects.toThrow(
      /expected a folder of features at .*lost, got nothing; emotune/,
    );
  });

  it('names a split that has no shards', async () => {
    rmSync(join(folder, 'features', 'train-00000.arrow'));
    rmSync(join(folder, 'features', 'train-00001.arrow'));
    await expect(trainOnce(options())).rejects.toThrow(NotFound);
  });
});

describe('tune', () => {
  const request = (tokens: number) => ({
    baseModel: join(folder, 'base'),
    features: join(folder, 'features'),
    trainSplits: ['train', 'validation'],
    validationSplit: '',
    settings: parseSettings({ tokens, batchTokens: 256, validationExamples: 20 }),
  });

  it('trains finally on one longest row at least, however early its trial was best', async () => {
    const { tokens } = await tune({ ...request(1), calibrationSplit: 'validation' }, {});
    expect(tokens).toBeGreaterThan(1);
    // A budget that a user has given is told to be too small.
    await expect(tune(request(1), {})).rejects.toThrow(InvalidArgument);
  });
});
