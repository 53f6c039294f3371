import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answers, asked, startServer } from '@emotune/cli/test-server';
import { runCommand } from '@emotune/cli/testing';
import type { Host } from '@emotune/service';
import { fittedStudy, importedStudy, planOf } from '@emotune/tuning';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../commands.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-import-'));
let host: Host;
/** What the server made of the study that it was sent last. */
let imported: ReturnType<typeof importedStudy>;

answers.importStudy = async (request, { spec }) => {
  imported = importedStudy(await fittedStudy(planOf(spec), request), request, []);
  const { fitting, lessons, best, misfits } = imported;
  return { fitting, taught: lessons.length, enqueued: best.map(() => 7), known: [3], misfits: [...misfits] };
};

beforeAll(async () => {
  host = await startServer(folder);
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

const emotune = (args: readonly string[]) =>
  runCommand(args, { commands, cwd: folder, env: { EMOTUNE_SERVER: host.address } });

async function text(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await emotune(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

describe('experiment', () => {
  it('import sends a long study in pieces', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => `${i},${1e-5 + i / 1e6},COMPLETE`);
    writeFileSync(join(folder, 'long.csv'), `value,params_learningRate,state\n${rows.join('\n')}\n`);
    const shown = await text(
      'experiment',
      'import',
      'first',
      '-f',
      'long.csv',
      '-p',
      'replay=0.25',
      '--direction',
      'minimize',
      '--json',
    );
    expect(JSON.parse(shown)).toMatchObject({ trials: 5000 });
    expect(asked.get('importStudyPieces')).toBeGreaterThan(3);
  });

  it('import enqueues the best of a file and teaches its trials', async () => {
    writeFileSync(
      join(folder, 'trials.csv'),
      'value,state,learningRate,dropout\n2,COMPLETE,0.001,0.1\n1,COMPLETE,0.002,0.1\n3,COMPLETE,7,0.1\n,FAIL,0.01,\n',
    );
    const args = ['experiment', 'import', 'first', '-f', 'trials.csv', '-p', 'replay=0.25'];
    const shown = await text(...args, '--direction', 'maximize', '--best', '1', '--teach', '--failures');
    expect(shown).toMatch(/^trials: +4, of which 3 fit the search space$/m);
    expect(shown).toMatch(/^taught: +3$/m);
    expect(shown).toMatch(/^skipped: +1, whose values trial 3 has already$/m);
    expect(shown).toMatch(/^dropout +not in the space +\d +0 +taken without it$/m);
    expect(shown).toMatch(/^learningRate +"7" is outside of its range +1 +2 +left out$/m);
    expect(imported.best).toMatchObject([{ learningRate: 0.001, replay: 0.25 }]);
    expect(imported.lessons).toMatchObject([
      { state: 'succeeded', objective: -2 },
      { state: 'succeeded', objective: -1 },
      { state: 'infeasible', parameters: { learningRate: 0.01 } },
    ]);
    expect(JSON.parse(await text(...args, '--direction', 'minimize', '--json'))).toMatchObject({
      study: 'trials.csv',
      trials: 4,
      fitting: 2,
      taught: 0,
      enqueued: [7, 7],
    });
    const refused = async (...more: string[]) => {
      const { code, stderr } = await emotune([...args.slice(0, 5), ...more]);
      return [code, stderr];
    };
    expect(await refused()).toEqual([2, expect.stringContaining('direction: expected minimize or maximize')]);
    expect(await refused('--direction', 'minimize')).toEqual([
      2,
      expect.stringContaining('of which 0 fit the search space'),
    ]);
    args[4] = 'nowhere.csv';
    expect(await refused()).toEqual([3, expect.stringContaining('expected a readable file')]);
  });
});
