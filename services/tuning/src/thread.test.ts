import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Internal } from '@emotune/base';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { AnsweringThread, inThread } from './thread.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-thread-'));
afterAll(() => rmSync(folder, { recursive: true }));

function thread(name: string, program: string): URL {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `import { parentPort, workerData } from 'node:worker_threads';\n${program}`);
  return pathToFileURL(file);
}

it('gives what a thread posts', async () => {
  const file = thread('sum', 'parentPort.postMessage(workerData.reduce((a, b) => a + b))');
  expect(await inThread<number>(file, [1, 2, 3], [])).toBe(6);
});

it.each([
  ['throws', 'throw new Error("no forest")', 'a thread failed: no forest'],
  ['ends', 'process.exit(3)', 'a thread ended without an answer, code 3'],
])('names the failure of one that %s', async (name, program, message) => {
  const failed = inThread(thread(name, program), [], []);
  await expect(failed).rejects.toBeInstanceOf(Internal);
  await expect(failed).rejects.toThrow(message);
});

it('names the failure of one that cannot be started', async () => {
  await expect(inThread(pathToFileURL(join(folder, 'missing.mjs')), [], [])).rejects.toThrow(Internal);
});

describe('a thread that answers', () => {
  const echo = `parentPort.on('message', (question) => {
    if (question === 'fail') throw new Error('no forest');
    if (question === 'end') process.exit(3);
    parentPort.postMessage([question, 1]);
  });`;

  it('answers one question after the other', async () => {
    const answering = new AnsweringThread<number, number[]>(thread('echo', echo), []);
    const answers = await Promise.all([1, 2, 3].map((question) => answering.ask(question)));
    expect(answers.map(([question]) => question)).toEqual([1, 2, 3]);
    await answering.close();
  });

  it.each([
    ['fail', 'a thread failed: no forest'],
    ['end', 'a thread failed: it ended without an answer, code 3'],
  ])('is started again when it has failed: %s', async (question, message) => {
    const answering = new AnsweringThread<unknown, unknown[]>(thread('again', echo), []);
    const failed = answering.ask(question);
    const next = answering.ask('next');
    await expect(failed).rejects.toThrow(message);
    expect((await next)[0]).toBe('next');
    await expect(answering.ask(() => {})).rejects.toBeInstanceOf(Internal);
    expect((await answering.ask('last'))[0]).toBe('last');
    await answering.close();
  });

  afterEach(() => void vi.useRealTimers());

  it('is ended when it has rested, and started again by the next question', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answering = new AnsweringThread<unknown, number>(
      thread(
        'identity',
        "import { threadId } from 'node:worker_threads';\nparentPort.on('message', () => parentPort.postMessage(threadId));",
      ),
      [],
    );
    const first = await answering.ask(1);
    vi.advanceTimersByTime(19_000);
    expect(await answering.ask(2)).toBe(first);
    vi.advanceTimersByTime(19_000);
    expect(await answering.ask(3)).toBe(first);
    vi.advanceTimersByTime(21_000);
    expect(await answering.ask(4)).not.toBe(first);
    await answering.close();
  });

  it('is not asked for those who have left, nor by more than can wait', async () => {
    const answering = new AnsweringThread<number, number[]>(thread('busy', echo), []);
    const left = new AbortController();
    const first = answering.ask(0);
    const gone = answering.ask(1, left.signal);
    left.abort(new Error('left'));
    const others = Array.from({ length: 30 }, (_, i) => answering.ask(2 + i));
    await expect(answering.ask(32)).rejects.toMatchObject({ name: 'ResourceExhausted', retryAfterMs: 1000 });
    await expect(gone).rejects.toThrow('left');
    await Promise.all([first, ...others]);
    expect((await answering.ask(33))[0]).toBe(33);
    await answering.close();
  });

  it('what it is asked when it is closed fails', async () => {
    const answering = new AnsweringThread<unknown, unknown>(
      thread('silent', "parentPort.on('message', () => {})"),
      [],
    );
    const asked = answering.ask(1);
    await Promise.resolve();
    await answering.close();
    await expect(asked).rejects.toBeInstanceOf(Internal);
  });
});
