import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { deviceOf } from './device-name.js';
import { diagnosis } from './doctor.js';

it('tells of every device whether it is there or what is missing, and of GPUs what their driver tells', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-driver-'));
  try {
    await mkdir(join(folder, 'gpus', '0000:00:05.0'), { recursive: true });
    await writeFile(
      join(folder, 'gpus', '0000:00:05.0', 'information'),
      'Model: \t A GPU 80GB\nIRQ:   \t 11\n',
    );
    await writeFile(join(folder, 'version'), 'NVRM version: Kernel Module  580.65.06  Release Build\n');
    const found = await diagnosis(folder);
    expect(found).toMatchObject({ gpus: ['A GPU 80GB'], driver: '580.65.06' });
    expect(found.devices.map(({ device }) => device)).toEqual(['auto', 'cpu', 'cuda', 'webgpu', 'tfjs']);
    for (const { uses, missing } of found.devices) expect(uses ?? missing).toMatch(/\w/);
    expect(found.devices.find(({ device }) => device === 'cpu')?.uses).toBe('the processor');
    expect(found.libraries['onnxruntime-node']).toMatch(/^\d/);
    expect((await diagnosis(join(folder, 'none'))).gpus).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('knows devices by their names alone', () => {
  expect(deviceOf('tfjs')).toBe('tfjs');
  expect(() => deviceOf('gpu')).toThrow('--device: expected one of auto, cpu, cuda, webgpu, tfjs, got gpu');
});
