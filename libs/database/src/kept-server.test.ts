import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { KeptServer, type ServerNews } from './kept-server.js';

async function server(script = 'setInterval(() => {}, 1000)'): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  await once(child, 'spawn');
  return child;
}

/** Kept until the test ends, with what is told of it. */
async function kept(launch: (signal: AbortSignal) => Promise<ChildProcess>) {
  const news: ServerNews[] = [];
  const server = await KeptServer.start({
    launch,
    lastWords: () => 'last words',
    tell: (item) => news.push(item),
  });
  onTestFinished(() => server.stop());
  return { server, news };
}

it('is started again each time that it ends, and says so once', async () => {
  const { server: watched, news } = await kept(() => server());
  for (let kills = 1; kills <= 3; kills++) {
    const killed = watched.pid;
    process.kill(killed, 'SIGKILL');
    await expect.poll(() => news.length).toBe(2 * kills);
    expect(watched.pid).not.toBe(killed);
  }
  const ended = { type: 'ended', reason: 'it ended by SIGKILL: last words' };
  expect(news).toEqual(
    [1, 2, 3].flatMap(() => [ended, { type: 'back', pid: expect.any(Number), starts: 1 }]),
  );
});

it('that cannot be started is tried on, and each reason is told once', async () => {
  let launches = 0;
  const { server: watched, news } = await kept(async () => {
    launches++;
    if (launches > 1 && launches < 5)
      throw new Error(launches < 4 ? 'the port is taken' : 'the disk is full');
    return server();
  });
  process.kill(watched.pid, 'SIGKILL');
  await expect.poll(() => news.at(-1)?.type).toBe('back');
  expect(news.at(-1)).toEqual({ type: 'back', pid: watched.pid, starts: 4 });
  expect(news.slice(1, -1)).toEqual([
    { type: 'waiting', reason: 'the port is taken' },
    { type: 'waiting', reason: 'the disk is full' },
  ]);
});

it('ends at a stop: while it runs, while it is started again, and if it will not', async () => {
  const running = await kept(() => server());
  await running.server.stop();
  expect(running.news).toEqual([]);

  let launches = 0;
  const starting = await kept(async (signal) => {
    if (launches++ > 0) await once(signal, 'abort').then(() => signal.throwIfAborted());
    return server();
  });
  process.kill(starting.server.pid, 'SIGKILL');
  await expect.poll(() => launches).toBe(2);
  await starting.server.stop();
  expect(starting.news.map(({ type }) => type)).toEqual(['ended']);

  const stubborn = await kept(async () => {
    const deaf =
      'for (const name of ["SIGINT", "SIGQUIT"]) process.on(name, () => {}); process.send(""); setInterval(() => {}, 1000)';
    const child = await server(deaf);
    await once(child, 'message');
    return child;
  });
  await stubborn.server.stop();
  expect(() => process.kill(stubborn.server.pid, 0)).toThrow('ESRCH');
});
