/** What the tuning service does in the process of a build with models that are trained: checks them, and writes exports. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  companionFiles,
  endingWith,
  exportOnnx,
  loadAdapter,
  loadModel,
  type Model,
  type ModelConfig,
  mergeAdapter,
  saveModel,
} from '@emotune/models';
import type { BuildWork } from '@emotune/service';
import { checkpointFiles } from './checkpoint-files.js';
import type { CardFacts } from './model-card.js';

/** What an export is made from. */
export interface ExportBuild {
  readonly format: CardFacts['format'];
  /** A new folder. */
  readonly target: string;
  /** The version's own. */
  readonly folder: string;
  /** That of the whole model which an adapter belongs to; otherwise the version's own. */
  readonly base: string;
  readonly adapter: boolean;
  /** What others load the base by. */
  readonly baseName: { readonly name: string; readonly revision?: string };
  /** What stands beside weights and tokenizer: text by name. */
  readonly texts: Readonly<Record<string, string>>;
  readonly endTokenId: number | null;
}

type Write = (from: ExportBuild, files: Readonly<Record<string, string>>) => Promise<readonly string[]>;

async function writeFiles(target: string, texts: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const [name, text] of Object.entries(texts)) await writeFile(join(target, name), text);
}

/** The whole model, the adapter merged. */
async function modelOf({ folder, base, adapter, endTokenId }: ExportBuild): Promise<Model> {
  const whole = await loadModel(base);
  const merged = adapter ? mergeAdapter(whole, await loadAdapter(folder, whole.config)) : whole;
  return { ...merged, config: endingWith(merged.config, endTokenId) };
}

const formats: Readonly<Record<CardFacts['format'], Write>> = {
  safetensors: async (from, files) => {
    const { folder, target, adapter } = from;
    const own = (await checkpointFiles(folder)).filter((name) => /^(config\.json$|model.*\.)/.test(name));
    if (!adapter && own.some((name) => name.endsWith('.safetensors'))) {
      await writeFiles(target, files);
      return own.filter((name) => !name.endsWith('.gguf'));
    }
    await saveModel(target, await modelOf(from), { files });
    return [];
  },
  peft: async ({ folder, target, baseName }, files) => {
    const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'));
    const { name, revision = null } = baseName;
    const named = { ...config, base_model_name_or_path: name, revision };
    await writeFiles(target, { ...files, 'adapter_config.json': `${JSON.stringify(named, null, 2)}\n` });
    return ['adapter_model.safetensors'];
  },
  onnx: async (from, files) => {
    await exportOnnx(from.target, await modelOf(from), { files });
    return [];
  },
};

/** The names of the version's own files that are part of the export as they are. */
export const write: BuildWork<ExportBuild, readonly string[]> = async (from) => {
  const files = { ...(await companionFiles(from.base, from.endTokenId)), ...from.texts };
  return formats[from.format](from, files);
};

/** @throws InvalidArgument, NotFound when what a training left cannot be used. */
export const check: BuildWork<
  {
    readonly folder: string;
    /** Of an adapter: its base's. */
    readonly config: ModelConfig | undefined;
  },
  void
> = async ({ folder, config }) => {
  if (config) await loadAdapter(folder, config);
  else await loadModel(folder);
};
