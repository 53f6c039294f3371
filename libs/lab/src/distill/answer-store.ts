/**
 * What a teacher answered, on disk: files of lines of JSON, each named by the hash of what it holds, so that one is whole or
 * damaged and told, and what has been asked once is never asked again.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256 } from '@emotune/base';

interface Line {
  readonly key: string;
  readonly probabilities: readonly number[];
}

const namePattern = /^[0-9a-f]{64}\.jsonl$/;
/** Of a probability: more than a model's own arithmetic is sure of. */
const digits = 7;

/** The key of a question: what the teacher reads, and what it may say. */
export function questionKey(prompt: string, answers: readonly string[]): string {
  return sha256(JSON.stringify([prompt, answers])).slice(0, 32);
}

function valid({ key, probabilities }: Line): boolean {
  return typeof key === 'string' && Array.isArray(probabilities) && probabilities.every(Number.isFinite);
}

export class AnswerStore {
  /** By the key of a question the probability of each candidate. */
  private readonly answers = new Map<string, Float32Array>();

  private constructor(private readonly folder: string) {}

  /** @param damaged is told of files that are not what they were, which are removed. */
  static async open(folder: string, damaged: (path: string) => void): Promise<AnswerStore> {
    await mkdir(folder, { recursive: true });
    const store = new AnswerStore(folder);
    for (const name of (await readdir(folder)).filter((file) => namePattern.test(file)).sort()) {
      const path = join(folder, name);
      const text = await readFile(path, 'utf8');
      if (`${sha256(text)}.jsonl` === name) store.take(text);
      else {
        damaged(path);
        await rm(path);
      }
    }
    return store;
  }

  private take(text: string): void {
    for (const line of text.split('\n').filter(Boolean)) {
      const parsed = JSON.parse(line) as Line;
      if (valid(parsed)) this.answers.set(parsed.key, Float32Array.from(parsed.probabilities));
    }
  }

  get(key: string): Float32Array | undefined {
    return this.answers.get(key);
  }

  /** Keeps answers; they are the same whether they were just given or are read again. */
  async add(answers: ReadonlyMap<string, ArrayLike<number>>): Promise<void> {
    const text = [...answers]
      .map(([key, probabilities]) => {
        const rounded = Array.from(probabilities, (p) => Number(p.toPrecision(digits)));
        return `${JSON.stringify({ key, probabilities: rounded } satisfies Line)}\n`;
      })
      .join('');
    const path = join(this.folder, `${sha256(text)}.jsonl`);
    await writeFile(`${path}.part`, text);
    await rename(`${path}.part`, path);
    this.take(text);
  }
}
