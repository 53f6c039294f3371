/** What this machine can compute with, and what is missing. */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { machineMemoryMiB } from '@emotune/base';
import { createExecutor, type Device, devices, refusalOf } from '@emotune/engine';

interface DeviceReport {
  readonly device: Device;
  /** What it would compute on; absent where it cannot. */
  readonly uses?: string;
  /** Why it cannot, and what to do about it. */
  readonly missing?: string;
}

export interface Diagnosis {
  readonly node: string;
  readonly system: string;
  readonly processor: string;
  readonly threads: number;
  /** Of the machine, and what of it this process may use. */
  readonly memoryMiB: { readonly machine: number; readonly allowed: number };
  /** As the driver names them. */
  readonly gpus: readonly string[];
  /** The driver's version, where there is one. */
  readonly driver?: string;
  readonly libraries: Readonly<Record<string, string>>;
  readonly devices: readonly DeviceReport[];
}

const mebibyte = 2 ** 20;
/** Where NVIDIA's driver tells of itself. */
const driverFolder = '/proc/driver/nvidia';

async function gpus(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'gpus')).catch(() => []);
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(folder, 'gpus', name, 'information'), 'utf8').catch(() => '');
      return /^Model:\s*(.+)$/m.exec(text)?.[1] ?? name;
    }),
  );
}

async function driverOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, 'version'), 'utf8').catch(() => '');
  return /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(text)?.[1];
}

function versions(): Record<string, string> {
  const from = createRequire(createRequire(import.meta.url).resolve('@emotune/engine'));
  const version = (name: string) => (from(`${name}/package.json`) as { version: string }).version;
  return Object.fromEntries(
    ['onnxruntime-node', '@tensorflow/tfjs-core'].map((name) => [name, version(name)]),
  );
}

async function tried(device: Device): Promise<DeviceReport> {
  const missing = device === 'cuda' || device === 'webgpu' ? await refusalOf(device) : undefined;
  if (missing !== undefined) return { device, missing };
  const chosen = await createExecutor({ device, threads: 1 });
  await chosen.executor.close();
  return { device, uses: chosen.device };
}

/** One device after the other: each loads its libraries. */
export async function diagnosis(folder = driverFolder): Promise<Diagnosis> {
  const reports: DeviceReport[] = [];
  for (const device of devices) reports.push(await tried(device));
  const driver = await driverOf(folder);
  return {
    node: process.version,
    system: `${platform()} ${release()}, ${arch()}`,
    processor: cpus()[0]?.model ?? 'unknown',
    threads: availableParallelism(),
    memoryMiB: { machine: Math.round(totalmem() / mebibyte), allowed: Math.round(machineMemoryMiB()) },
    gpus: await gpus(folder),
    ...(driver === undefined ? {} : { driver }),
    libraries: versions(),
    devices: reports,
  };
}
