/** An experiment from YAML with settings of training that no search varies, with real services and trainers. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { emotune } from './platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-fixed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('fixed settings reach the trainers of an experiment and stand in its record', async () => {
  const name = 'fixed';
  const specs = {
    dataset: { name, sources: [{ corpus: 'emotune-demo', limit: 200 }] },
    features: { name, dataset: name, baseModels: ['emotune-llama-4m'], limitTest: 20 },
    experiment: {
      name,
      features: name,
      baseModels: [{ architecture: 'llama', model: 'emotune-llama-4m' }],
      searchAlgorithm: { name: 'random' },
      parameters: [{ name: 'learningRate', double: { min: 0.001, max: 0.003, log: true } }],
      limits: { maxTrials: 1 },
      training: {
        trialTokens: 2000,
        validationExamples: 8,
        method: 'lora',
        lora: { targets: ['q_proj', 'v_proj'], baseCompute: 'int8' },
        recompute: 'blocks',
        packing: false,
        'loss.labelSmoothing': 0.1,
      },
    },
  };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await emotune(['--json', '--data-dir', 'data', ...args], {
      cwd: folder,
    });
    expect(code, stderr).toBe(0);
    return stdout;
  };
  for (const [noun, spec] of Object.entries(specs))
    writeFileSync(join(folder, `${noun}.yaml`), JSON.stringify(spec));
  for (const noun of ['dataset', 'features']) await run(noun, 'create', '-f', `${noun}.yaml`);
  await run('experiment', 'submit', '-f', 'experiment.yaml', '--watch');
  const { state, spec } = JSON.parse(await run('experiment', 'get', name));
  expect([state, spec.training]).toEqual([
    'succeeded',
    expect.objectContaining({
      trialTokens: 2000,
      method: 'lora',
      'lora.targets': ['q_proj', 'v_proj'],
      'lora.baseCompute': 'int8',
      recompute: 'blocks',
      packing: false,
      'loss.labelSmoothing': 0.1,
      batchTokens: 2048,
    }),
  ]);
  // Beside the objects lie their hashes, under the same names.
  const adapters = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('adapter_config.json') && !path.includes('.sums'),
  );
  expect(adapters.length).toBeGreaterThan(0);
  for (const path of adapters)
    expect(JSON.parse(readFileSync(join(folder, path), 'utf8')).target_modules).toEqual(['q_proj', 'v_proj']);
}, 400_000);
