/**
 * Texts rewritten by a language model behind an OpenAI-compatible endpoint: by translation and back (Sennrich, Haddow and Birch
 * 2016, section 3), or paraphrased. What it answers is kept on disk, so that a text is asked about once, and taken only where it
 * feels as the text did by what lexicons see.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { explain, negates } from '@emotune/affect';
import {
  type Clock,
  canonicalJson,
  FailedPrecondition,
  sha256,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { wordsOf } from './sentence.js';

export interface Endpoint {
  /** Up to `/v1`: `/chat/completions` is added. */
  readonly url: string;
  /** Sent as a bearer token. */
  readonly key?: string | undefined;
  readonly model: string;
  /** Folder of what was answered. */
  readonly cache: string;
}

const attempts = 4;
const firstWaitMs = 500;
const answerMs = 120_000;

const asks = {
  translate: (language: string) =>
    `Translate the user's text into the language with the code "${language}". Keep its tone, its emoji and its punctuation. Answer with the translation alone.`,
  paraphrase: () =>
    "Say the user's text in other words. Keep its meaning, its feeling and how strong that is, its emoji and its language. Answer with the new text alone.",
};

interface Completion {
  readonly choices?: readonly { readonly message?: { readonly content?: unknown } }[];
}

export class Rewriter {
  constructor(
    private readonly endpoint: Endpoint,
    private readonly clock: Clock = systemClock,
  ) {}

  /** @throws as `complete` */
  async backTranslation(text: string, language: string): Promise<string> {
    const there = await this.complete(asks.translate(language), text);
    return this.complete(asks.translate('en'), there);
  }

  /** @throws as `complete` */
  paraphrase(text: string): Promise<string> {
    return this.complete(asks.paraphrase(), text);
  }

  /**
   * What the model answers, from the disk where it did before.
   * @throws Unavailable when the endpoint cannot be reached or is too busy; FailedPrecondition when it refuses or answers with no
   *   text.
   */
  private async complete(system: string, user: string): Promise<string> {
    const { url, model, cache } = this.endpoint;
    const messages = [
      { role: 'system', content: system },
      { role: 'user', content: user },
    ];
    const body = JSON.stringify({ model, messages, temperature: 0, seed: 0 });
    const name = sha256(canonicalJson({ url, body }));
    const file = join(cache, name.slice(0, 2), `${name}.json`);
    const kept = await readFile(file, 'utf8').catch(() => undefined);
    if (kept !== undefined) return JSON.parse(kept) as string;
    const answer = await this.fetched(body);
    await mkdir(dirname(file), { recursive: true });
    const temporary = `${file}.${process.pid}.tmp`;
    await writeFile(temporary, JSON.stringify(answer));
    await rename(temporary, file);
    return answer;
  }

  private async fetched(body: string): Promise<string> {
    const { url, key } = this.endpoint;
    const headers = {
      'content-type': 'application/json',
      ...(key ? { authorization: `Bearer ${key}` } : {}),
    };
    const target = `${url.replace(/\/$/, '')}/chat/completions`;
    let reason = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (attempt > 0) await this.clock.sleep(firstWaitMs * 2 ** (attempt - 1));
      const signal = AbortSignal.timeout(answerMs);
      let response: Response;
      try {
        response = await fetch(target, { method: 'POST', headers, body, signal });
      } catch (error) {
        reason = (error as Error).message;
        continue;
      }
      if (response.ok) return textOf((await response.json().catch(() => ({}))) as Completion);
      reason = `HTTP ${response.status}`;
      await response.body?.cancel();
      if (response.status !== 429 && response.status < 500)
        throw new FailedPrecondition(`the endpoint that rewrites texts refused a request: ${reason}`);
    }
    throw new Unavailable(
      `the endpoint that rewrites texts did not answer, asked ${attempts} times: ${reason}`,
    );
  }
}

function textOf({ choices }: Completion): string {
  const content = choices?.[0]?.message?.content;
  if (typeof content !== 'string')
    throw new FailedPrecondition(
      'the endpoint that rewrites texts answered without a text: expected choices[0].message.content',
    );
  return content.trim();
}

/** Share of the words of both that one of them has alone. */
function distance(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const shared = [...a].filter((word) => b.has(word)).length;
  return 1 - shared / (a.size + b.size - shared);
}

const bag = (text: string) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
const negations = (text: string) => wordsOf(text).filter((word) => negates(word.text)).length;

/** VADER's verdict may move so far: less where the label is an intensity. */
const farthest = { exact: 0.15, usual: 0.35 };

/**
 * Whether a rewritten English text can have the label of the original: about as long, some of its words and not all, as many
 * negations, emoji, hashtags and marks of emphasis, and much the same verdict of VADER.
 */
export function keepsLabel(original: string, rewritten: string, exact: boolean): boolean {
  const [before, after] = [bag(original), bag(rewritten)];
  if (before.size === 0 || after.size === 0) return false;
  const ratio = rewritten.length / original.length;
  const apart = distance(before, after);
  if (ratio < 0.5 || ratio > 2 || apart === 0 || apart > 0.85) return false;
  for (const pattern of [/\p{Extended_Pictographic}/gu, /[!?]/g, /#\p{L}/gu, /@\w/g])
    if (count(original, pattern) !== count(rewritten, pattern)) return false;
  if (negations(original) !== negations(rewritten)) return false;
  const [from, to] = [explain(original).vader, explain(rewritten).vader];
  const limit = exact ? farthest.exact : farthest.usual;
  return Math.abs(from - to) <= limit && (Math.sign(from) === Math.sign(to) || Math.abs(from - to) < 0.1);
}
