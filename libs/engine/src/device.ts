/** Where graphs are computed: chosen by name, or what there is. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FailedPrecondition } from '@emotune/base';
import { build as b } from '@emotune/graph';
import type { Executor, ExecutorMemory } from './executor.js';
import { OnnxExecutor, type OnnxOptions, type OnnxProvider } from './onnx/executor.js';
import { onnxMemory } from './onnx/memory.js';
import { float32 } from './tensor.js';
import { TfjsExecutor } from './tfjs/executor.js';
import { firstLine, loadTfjs } from './tfjs/load.js';
import { tfjsMemory } from './tfjs/memory.js';

export const devices = ['auto', 'cpu', 'cuda', 'webgpu', 'tfjs'] as const;
export type Device = (typeof devices)[number];

interface ExecutorOptions extends Pick<OnnxOptions, 'threads' | 'spin' | 'profile'> {
  readonly device: Device;
}

export interface ChosenExecutor {
  readonly executor: Executor;
  /** What it computes on and why, for people. */
  readonly device: string;
}

/** Beside the runtime's own library, in the CUDA image alone. */
function hasCudaLibraries(): boolean {
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = `bin/napi-v6/${process.platform}/${process.arch}/libonnxruntime_providers_cuda.so`;
  return existsSync(join(folder, library));
}

/** How what is missing is got. */
const remedies: Readonly<Record<Exclude<OnnxProvider, 'cpu'>, string>> = {
  cuda: 'it needs an NVIDIA GPU, its driver and the CUDA libraries of the CUDA image (deploy/README.md)',
  webgpu: 'it needs a GPU with a Vulkan, Metal or Direct3D driver',
};

/** Without the place in the runtime's sources where it was thrown. */
const cause = (error: unknown) => firstLine(error).replace(/^.*?was false\. /, '');

/** Why ONNX Runtime does not compute there, and what it needs; undefined where it does. */
export async function refusalOf(provider: Exclude<OnnxProvider, 'cpu'>): Promise<string | undefined> {
  if (provider === 'cuda' && !hasCudaLibraries())
    return `the runtime's CUDA libraries are not installed; ${remedies.cuda}`;
  const executor = OnnxExecutor.create({ provider });
  try {
    const program = await executor.compile({ y: b.add(b.input('x', 'float32', [2]), b.scalar(1)) });
    await executor.run(program, { feeds: { x: float32([2], [1, 2]) }, fetch: ['y'] });
    return undefined;
  } catch (error) {
    return `${cause(error)}; ${remedies[provider]}`;
  } finally {
    await executor.close();
  }
}

async function tfjs(): Promise<ChosenExecutor> {
  const loaded = await loadTfjs();
  const passed = loaded.passedOver.length === 0 ? '' : ` (${loaded.passedOver.join('; ')})`;
  return {
    executor: new TfjsExecutor(loaded),
    device: `TensorFlow.js on its ${loaded.backend} backend${passed}`,
  };
}

/**
 * An executor on the device that was asked for; `auto`: on a GPU by CUDA where there is one, else on the processor.
 * @throws FailedPrecondition where the device is not there, with why and what it needs.
 */
export async function createExecutor({ device, ...options }: ExecutorOptions): Promise<ChosenExecutor> {
  const onProcessor = (why: string) => ({
    executor: OnnxExecutor.create(options),
    device: `the processor${why}`,
  });
  if (device === 'cpu') return onProcessor('');
  if (device === 'tfjs') return tfjs();
  const provider = device === 'auto' ? 'cuda' : device;
  const refusal = await refusalOf(provider);
  if (refusal === undefined)
    return {
      executor: OnnxExecutor.create({ ...options, provider }),
      device: provider === 'cuda' ? 'a GPU, by CUDA' : 'a GPU, by WebGPU',
    };
  if (device === 'auto') return onProcessor(', since CUDA has no GPU here');
  throw new FailedPrecondition(
    `device: expected ${provider} to be there: ${refusal}; \`emotune doctor\` tells what there is`,
  );
}

/** What an executor on a device takes of the host's memory. */
export function memoryOn(device: Device, threads: number): ExecutorMemory {
  return device === 'tfjs' ? tfjsMemory : onnxMemory(threads);
}
