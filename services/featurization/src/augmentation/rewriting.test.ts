import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FailedPrecondition, systemClock, Unavailable } from '@emotune/base';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Augmenter } from './augment.js';
import { type Endpoint, keepsLabel, Rewriter } from './rewriting.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-rewriting-'));
interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { model: string; temperature: number; messages: { role: string; content: string }[] };
}
const asked: Asked[] = [];
/** Answers to come, before the usual one: a status without a text. */
let failures: number[] = [];
/** What the model makes of a text, told what to do. */
let answer: (task: string, text: string) => unknown = (_, text) => text;
let server: Server;
let endpoint: Endpoint;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text) as Asked['body'];
    asked.push({ path: request.url ?? '', authorization: request.headers.authorization, body });
    const status = failures.shift() ?? 200;
    const [system, user] = body.messages.map(({ content }) => content);
    const content = answer(system, user);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(status === 200 ? { choices: [{ message: { role: 'assistant', content } }] } : {}),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  endpoint = { url: `http://127.0.0.1:${port}/v1`, key: 'secret', model: 'small', cache: '' };
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
let caches = 0;
beforeEach(() => {
  asked.length = 0;
  failures = [];
  answer = (_, text) => text;
  endpoint = { ...endpoint, cache: join(folder, String(caches++)) };
});

const waits: number[] = [];
const clock = { ...systemClock, sleep: async (ms: number) => void waits.push(ms) };

it('a text goes into another language and back, as the API of OpenAI has it', async () => {
  answer = (task, text) =>
    (task.includes('"de"') ? 'Die Fähre war spät' : `${text}?`).replace(
      'Die Fähre war spät?',
      'The ferry ran late',
    );
  expect(await new Rewriter(endpoint).backTranslation('The ferry was late', 'de')).toBe('The ferry ran late');
  expect(
    asked.map(({ path, authorization, body }) => [path, authorization, body.model, body.temperature]),
  ).toEqual([
    ['/v1/chat/completions', 'Bearer secret', 'small', 0],
    ['/v1/chat/completions', 'Bearer secret', 'small', 0],
  ]);
  expect(asked.map(({ body }) => body.messages[1].content)).toEqual([
    'The ferry was late',
    'Die Fähre war spät',
  ]);
});

it('a text is asked about once, also by another process', async () => {
  for (let i = 0; i < 3; i++) expect(await new Rewriter(endpoint).paraphrase('we left')).toBe('we left');
  expect(asked).toHaveLength(1);
  await new Rewriter({ ...endpoint, model: 'other' }).paraphrase('we left');
  expect(asked).toHaveLength(2);
});

it('an endpoint that is busy is asked again, one that stays away is unavailable', async () => {
  failures = [429, 503];
  expect(await new Rewriter(endpoint, clock).paraphrase('we left')).toBe('we left');
  expect(waits).toEqual([500, 1000]);
  failures = [500, 500, 500, 500];
  await expect(new Rewriter(endpoint, clock).paraphrase('we came')).rejects.toThrow(Unavailable);
  const away = { ...endpoint, url: 'http://127.0.0.1:1/v1' };
  await expect(new Rewriter(away, clock).paraphrase('we came')).rejects.toThrow(
    'did not answer, asked 4 times',
  );
});

it('an endpoint that refuses, or answers with no text, is told', async () => {
  failures = [401];
  await expect(new Rewriter(endpoint, clock).paraphrase('we left')).rejects.toThrow(
    'refused a request: HTTP 401',
  );
  answer = () => null;
  await expect(new Rewriter(endpoint, clock).paraphrase('we left')).rejects.toThrow(FailedPrecondition);
});

it.each([
  ['The food was good', 'The meal was good', true],
  ['The food was good', 'The food was good', false],
  ['The food was good', 'The food was not good', false],
  ['The food was not good', 'The food was good', false],
  ['The food was good', 'The meal was awful', false],
  ['The food was good 🙂', 'The meal was good', false],
  ['The food was good!', 'The meal was good', false],
  [
    'The food was good',
    'Something else entirely, about a ferry that left and of which nobody was told a thing',
    false,
  ],
  ['The food was good', '', false],
])('%j as %j keeps its label: %j', (original, rewritten, keeps) => {
  expect(keepsLabel(original, rewritten, false)).toBe(keeps);
});

it('rows get what keeps their label, and none where nothing does', async () => {
  const plan = (method: 'paraphrase' | 'back-translation') => ({
    method,
    share: 1,
    strength: 1,
    language: 'de',
  });
  const augmenter = await Augmenter.open([plan('paraphrase'), plan('back-translation')], 1, { endpoint });
  answer = (task, text) => (task.startsWith('Say') ? text.replace('food', 'meal') : 'no, it was awful');
  const row = { id: '1', text: 'The food was good', task: 'sentiment-regression' as const, language: 'en' };
  expect(await augmenter.variants(row)).toEqual([{ method: 'paraphrase', text: 'The meal was good' }]);
  expect(await augmenter.variants({ ...row, language: 'fi' })).toEqual([]);
  await expect(Augmenter.open([plan('paraphrase')], 1, {})).rejects.toThrow('EMOTUNE_REWRITER_URL');
  await expect(
    Augmenter.open([{ ...plan('paraphrase'), method: 'random-insertion' }], 1, {}),
  ).rejects.toThrow('EMOTUNE_WORDNET');
});
