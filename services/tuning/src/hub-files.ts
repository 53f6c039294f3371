/** Which files of a model's repository on the Hub are needed. Pure. */
import { FailedPrecondition, NotFound } from '@emotune/base';
import { type HubId, hubIdText } from '@emotune/hub';
import { checkpointNames } from './checkpoint-files.js';

const index = 'model.safetensors.index.json';
const shard = /^model-\d{5}-of-(\d{5})\.safetensors$/;

/** The weights of a checkpoint: the parts that its index names, or the one file. Those of other precisions are left. */
function checkpointWeights(names: readonly string[]): string[] {
  const shards = names.filter((name) => shard.test(name));
  const parts = Number(shards[0]?.match(shard)?.[1] ?? 0);
  if (names.includes(index) && shards.length === parts && parts > 0) return [index, ...shards];
  return names.filter((name) => name === 'model.safetensors');
}

/**
 * Weights in safetensors and what stands beside them, an adapter, or the one GGUF file; never weights in other formats.
 * @throws NotFound, FailedPrecondition when the repository has nothing that can be used.
 */
export function modelFiles(id: HubId): (paths: readonly string[]) => string[] {
  return (paths) => {
    const what = hubIdText(id);
    const { file } = id;
    if (file !== undefined) {
      if (paths.includes(file) && file.endsWith('.gguf')) return [file];
      const ggufs = paths.filter((path) => path.endsWith('.gguf'));
      throw new NotFound(
        `${what}: expected a GGUF file of the repository, which has ${ggufs.join(', ') || 'none'}`,
      );
    }
    const names = paths.filter((path) => !path.includes('/'));
    const beside = checkpointNames(names).filter(
      (name) => !/\.(safetensors|gguf)$/.test(name) && name !== index && name !== 'adapter_config.json',
    );
    const weights = checkpointWeights(names);
    if (weights.length > 0) return [...beside, ...weights];
    const adapter = ['adapter_config.json', 'adapter_model.safetensors'];
    if (adapter.every((name) => names.includes(name))) return [...beside, ...adapter];
    const ggufs = paths.filter((path) => path.endsWith('.gguf'));
    if (ggufs.length === 1) return [...beside.filter((name) => name !== 'config.json'), ...ggufs];
    if (ggufs.length > 1)
      throw new FailedPrecondition(
        `${what}: the repository has several GGUF files; name one as hf:${id.repo}@${id.revision}:FILE, of ${ggufs.join(', ')}`,
      );
    if (names.some((name) => /\.(bin|pt|pth|h5|msgpack)$/.test(name)))
      throw new FailedPrecondition(
        `${what}: the repository has its weights in formats that are not read here (such as pytorch_model.bin, which can run code); look for a revision with safetensors, often a pull request: hf:${id.repo}@refs/pr/NUMBER`,
      );
    throw new NotFound(
      `${what}: expected model.safetensors, an adapter or a GGUF file in the repository, got none`,
    );
  };
}
