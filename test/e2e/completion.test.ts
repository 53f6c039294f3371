/** What a shell gets when the user presses Tab. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { emotune } from './platform-process.js';

async function completions(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await emotune(['complete', '--', ...words]);
  expect(code, stderr).toBe(0);
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(':'))
    .map((line) => line.split('\t')[0]);
}

it('commands, options and the words that an option takes are completed', async () => {
  expect(await completions('dat')).toEqual(['dataset']);
  expect(await completions('experiment', 'e')).toEqual(expect.arrayContaining(['estimate', 'enqueue']));
  expect(await completions('analyze', '--t')).toEqual(['--task']);
  expect(await completions('analyze', '--task', 'sent')).toEqual([
    'sentiment-classification',
    'sentiment-regression',
  ]);
});

it.each(['bash', 'zsh', 'fish'])('the script for %s can be read by it', async (shell) => {
  const { code, stdout } = await emotune(['complete', shell]);
  expect(code).toBe(0);
  expect(stdout).toContain('emotune');
  const read = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
  if (read.error) process.stderr.write(`skipped: there is no ${shell} here to read its script\n`);
  else expect(read.stderr).toBe('');
});
