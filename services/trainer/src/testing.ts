/** Rows and a model small enough to train in a test. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { labelGold, type Task, tasks } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeShard, type FeatureRow } from '@emotune/records';

export function featureRow(
  id: string,
  task: Task,
  tokens: readonly number[],
  answerStart = tokens.length - 1,
): FeatureRow {
  return {
    id,
    task,
    source: 'test',
    language: 'en',
    text: id,
    emotion: null,
    scale: null,
    labelSet: [],
    multiLabel: false,
    gold: labelGold([]),
    prompt: '',
    answer: '',
    tokens: Int32Array.from(tokens),
    answerStart,
    decimals: 0,
  };
}

/** Prompts of random tokens; the answer follows from the last one. */
function tinyRows(split: string, count: number, vocabSize: number): FeatureRow[] {
  const rng = Rng.of('rows', split);
  return Array.from({ length: count }, (_, i) => {
    const key = 4 + rng.int(6);
    const filler = Array.from({ length: 8 + rng.int(24) }, () => 10 + rng.int(vocabSize - 10));
    const tokens = [...filler, key, 13 - key, 1];
    return featureRow(`${split}-${i}`, tasks[i % 4], tokens, filler.length + 1);
  });
}

/** Writes `base/` (a checkpoint) and `features/` (shards, train in two) below the folder. */
export async function writeTinyInputs(
  folder: string,
  { vocabSize = 64, rowVocabSize = 64 } = {},
): Promise<void> {
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
    { files: { 'tokenizer.json': '{"model":{"vocab":{}}}', 'tokenizer_config.json': '{}' } },
  );
  const features = join(folder, 'features');
  await mkdir(features);
  const train = tinyRows('train', 400, rowVocabSize);
  await writeFile(join(features, 'train-00000.arrow'), encodeShard(train.slice(0, 300)));
  await writeFile(join(features, 'train-00001.arrow'), encodeShard(train.slice(300)));
  await writeFile(
    join(features, 'validation-00000.arrow'),
    encodeShard(tinyRows('validation', 60, rowVocabSize)),
  );
}
