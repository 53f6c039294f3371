import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import type { Host } from '@emotune/service';
import { TestCa } from '@emotune/service/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientCommands } from './commands.js';
import { serversOf } from './servers.js';
import { startServer } from './test-server.js';
import { type Outcome, runCommand } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-servers-'));
let host: Host;
beforeAll(async () => {
  host = await startServer(folder);
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

function violations(text: string): string[] {
  try {
    serversOf(text, '--server', {});
  } catch (error) {
    if (error instanceof InvalidArgument)
      return error.violations.map(({ field, description }) => `${field}: ${description}`);
    throw error;
  }
  return [];
}

describe('servers as people write them', () => {
  it.each([
    ['localhost:50051', ['localhost:50051']],
    ['[::1]:1', ['[::1]:1']],
    ['https://emotune.example.com', ['emotune.example.com:443']],
    ['data=10.0.0.1:1,tuning=[fd00::2]:2', ['10.0.0.1:1', '[fd00::2]:2']],
    [' data=http://a:1/ , tuning=https://b,evaluation=a:1,', ['a:1', 'b:443']],
  ])('%s', (text, addresses) => {
    expect(serversOf(text, '--server', {}).addresses).toEqual(addresses);
  });

  it.each([
    ['nowhere', ['expected HOST:PORT such as 127.0.0.1:50051, https://HOST:PORT, or area=HOST:PORT,…']],
    ['host:65536', ['expected HOST:PORT such as 127.0.0.1:50051, https://HOST:PORT, or area=HOST:PORT,…']],
    ['a:1,b:2', ['expected HOST:PORT such as 127.0.0.1:50051, https://HOST:PORT, or area=HOST:PORT,…']],
    [
      'data=nowhere,tunning=a:1,evaluation=b:1,evaluation=b:2,c:3',
      [
        'expected data=HOST:PORT or https://HOST:PORT',
        'expected data, featurization, tuning, evaluation, inference before "=" in "tunning=a:1"',
        'expected evaluation once',
        'expected data, featurization, tuning, evaluation, inference before "=" in "c:3"',
      ],
    ],
  ])('%s is refused', (text, faults) => {
    expect(violations(text)).toEqual(
      faults.map((fault) => `--server: ${fault}, got ${JSON.stringify(text)}`),
    );
  });

  it('a CA makes those without a scheme encrypted, and those with http:// not', async () => {
    const ca = await TestCa.make();
    const files = ca.write(join(folder, 'tls'), await ca.issue('data'));
    const env = { EMOTUNE_TLS_CA_FILE: files['EMOTUNE_TLS_CA_FILE'] };
    const emotune = (area: string) =>
      runCommand(['--server', `data=http://${host.address},inference=${host.address}`, ...area.split(' ')], {
        commands: clientCommands,
        cwd: folder,
        env,
      });
    expect(await emotune('source list')).toMatchObject({ code: 0 });
    expect(await emotune('analyze x')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`${host.address} is not trusted, or does not speak TLS`),
    });
  });
});

describe('a command', () => {
  const emotune = (server: string, line: string): Promise<Outcome> =>
    runCommand(line.split(' '), {
      commands: clientCommands,
      cwd: folder,
      env: { EMOTUNE_SERVER: server },
    });

  it.each([
    ['data', 'source list'],
    ['data', 'dlq list'],
    ['featurization', 'features list'],
    ['tuning', 'experiment list'],
    ['tuning', 'model list'],
    ['tuning', 'experiment insight first'],
    ['evaluation', 'evaluation list'],
    ['inference', 'analyze x'],
  ])('goes to the address of %s: %s', async (area, line) => {
    const others = ['data', 'featurization', 'tuning', 'evaluation', 'inference'].filter(
      (each) => each !== area,
    );
    const away = others.map((each) => `${each}=127.0.0.1:1`).join(',');
    const { code, stderr } = await emotune(`${away},${area}=${host.address}`, line);
    expect(code, stderr).toBe(0);
    expect(await emotune(others.map((each) => `${each}=${host.address}`).join(','), line)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(
        `EMOTUNE_SERVER: expected ${area}=HOST:PORT, which this command calls, got "`,
      ),
    });
  });

  it('is told the address that cannot be reached', async () => {
    const { code, stderr } = await emotune(`data=${host.address},tuning=127.0.0.1:1`, 'experiment list');
    expect([code, stderr]).toEqual([4, expect.stringContaining('127.0.0.1:1 cannot be reached')]);
  });
});
