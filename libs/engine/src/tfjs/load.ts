/**
 * Which TensorFlow.js there is: its native package for GPUs, the one for processors, WebAssembly, plain JavaScript, in that order.
 * The native ones are installed by who wants them, in a folder that `EMOTUNE_TFJS` names (`deploy/native/tfjs.sh` makes one).
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { FailedPrecondition } from '@emotune/base';
import type * as TfCore from '@tensorflow/tfjs-core';

export type Tf = typeof TfCore;

const tfjsBackends = ['gpu', 'node', 'wasm', 'cpu'] as const;
type TfjsBackend = (typeof tfjsBackends)[number];

export interface Tfjs {
  readonly tf: Tf;
  readonly backend: TfjsBackend;
  /** What came before it in the order, and why that could not be used. */
  readonly passedOver: readonly string[];
}

const own = createRequire(import.meta.url);

/** The native packages call what later versions of Node.js do not have, and this one warns of. */
function withOldUtilities(): void {
  const util = own('node:util') as Record<string, unknown>;
  util['isNullOrUndefined'] = (x: unknown) => x === null || x === undefined;
  util['isArray'] = Array.isArray;
}

/** The native packages look up their binding at a path of their own; a failed look-up would leave their kernels registered. */
function native(name: string): Tf {
  const home = process.env['EMOTUNE_TFJS'];
  if (!home) throw new Error('EMOTUNE_TFJS names no folder with it');
  const from = createRequire(join(resolve(home), 'package.json'));
  const folder = dirname(from.resolve(`${name}/package.json`));
  const binding = join(folder, 'lib', 'napi-v8', 'tfjs_binding.node');
  if (!existsSync(binding)) throw new Error(`its native part is not built (${binding})`);
  withOldUtilities();
  from(binding);
  return from(name);
}

async function load(backend: TfjsBackend): Promise<Omit<Tfjs, 'passedOver'>> {
  if (backend === 'gpu') {
    const tf = native('@tensorflow/tfjs-node-gpu');
    // Without a device it computes on the processor, as the other one does.
    const { isUsingGpuDevice } = tf.backend() as { isUsingGpuDevice?: boolean };
    return { tf, backend: isUsingGpuDevice ? 'gpu' : 'node' };
  }
  if (backend === 'node') return { tf: native('@tensorflow/tfjs-node'), backend };
  const tf = own('@tensorflow/tfjs-core') as Tf;
  // Else it prints an advertisement.
  tf.enableProdMode();
  own(`@tensorflow/tfjs-backend-${backend}`);
  if (!(await tf.setBackend(backend))) throw new Error('it does not start');
  await tf.ready();
  return { tf, backend };
}

export const firstLine = (error: unknown) => String((error as Error)?.message ?? error).split('\n')[0];

/**
 * The first of `order` that there is.
 * @throws FailedPrecondition where there is none, saying why of each.
 */
export async function loadTfjs(order: readonly TfjsBackend[] = tfjsBackends): Promise<Tfjs> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  const passedOver: string[] = [];
  for (const backend of order) {
    try {
      const loaded = await load(backend);
      if (loaded.backend !== backend) passedOver.push(`${backend}: it sees no GPU`);
      return { ...loaded, passedOver };
    } catch (error) {
      passedOver.push(`${backend}: ${firstLine(error)}`);
    }
  }
  throw new FailedPrecondition(`expected a backend of TensorFlow.js, got none (${passedOver.join('; ')})`);
}
