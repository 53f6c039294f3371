import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';

const setup = new URL('./setup.mjs', import.meta.url).href;

it('ends a program whose event loop is held, some time after it was told to end', async () => {
  const held = `process.on('SIGTERM', () => {}); process.stdout.write('ready', () => { for (;;); });`;
  const source = `
    import { node, run } from ${JSON.stringify(setup)};
    const options = { stdio: ['ignore', 'inherit', 'inherit'], endMs: 200 };
    process.exit(await run(node, ['-e', ${JSON.stringify(held)}], options));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([137, null]);
});
