/** A study by the program's commands and the page, from a dataset to a dataset of what raters said, over a platform that is killed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { emotune, serve } from './platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-studies-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The page for raters without scripts: opens a link, consents, and gives as many answers as are asked for. */
async function judge(link: string, answers: readonly string[]): Promise<void> {
  const joined = await fetch(link, { redirect: 'manual' });
  let cookie = joined.headers.get('set-cookie')!.split(';')[0];
  const page = new URL(joined.headers.get('location')!, link);
  const look = async () => (await fetch(page, { headers: { cookie } })).text();
  const send = async (fields: Readonly<Record<string, string>>) => {
    const shown = await look();
    const hidden = [...shown.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(
      ([, ...pair]) => pair,
    );
    const action = /action="([^"]*)"/.exec(shown)![1];
    const sent = await fetch(new URL(action, link), {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie },
      body: new URLSearchParams({ ...Object.fromEntries(hidden), ...fields }),
    });
    expect(sent.status).toBe(303);
    cookie = sent.headers.get('set-cookie')?.split(';')[0] ?? cookie;
  };
  if ((await look()).includes('name="consent"')) await send({ consent: 'yes' });
  for (const label of answers) await send({ label });
}

it('judgements survive a kill and become rows of a dataset, with raters, source and licence', async () => {
  const dataDir = join(folder, 'data');
  const options = { cwd: folder, env: { EMOTUNE_STUDIES_LISTEN: '127.0.0.1:0' } };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await emotune(['--json', '--data-dir', dataDir, ...args], options);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  };
  const task = 'sentiment-classification';
  const specs = {
    dataset: { name: 'demo', sources: [{ corpus: 'emotune-demo', limit: 60 }] },
    study: {
      ...{ name: 'by-hand', consent: 'Your answers are kept.', licence: 'CC-BY-4.0', raters: ['ada', 'ben'] },
      sample: { dataset: 'demo', split: 'train', items: 3 },
      rating: { task, labels: ['negative', 'positive'] },
      attention: { builtIn: 0 },
    },
    judged: { name: 'judged', sources: [{ import: { format: 'study', path: 'rows.jsonl' } }] },
  };
  for (const [noun, spec] of Object.entries(specs))
    writeFileSync(join(folder, `${noun}.yaml`), JSON.stringify(spec));
  const before = await serve(dataDir, options);
  await run('dataset', 'create', '-f', 'dataset.yaml');
  await run('study', 'create', '-f', 'study.yaml');
  const { links } = await run('study', 'open', 'by-hand');
  await judge(links[0].url, ['positive', 'positive']);
  await before.end('SIGKILL');
  const after = await serve(dataDir, options);
  const again = await run('study', 'open', 'by-hand');
  expect(again.links.map(({ token }: { token: string }) => token)).toEqual(
    links.map(({ token }: { token: string }) => token),
  );
  await judge(again.links[0].url, ['positive']);
  await judge(again.links[1].url, ['positive', 'positive', 'positive']);
  expect(await run('study', 'get', 'by-hand')).toMatchObject({ judgements: 6, state: 'open' });
  expect(await run('study', 'report', 'by-hand')).toMatchObject({
    items: 3,
    raters: [{ agreement: 1 }, { agreement: 1 }],
  });
  expect(await run('study', 'export', 'by-hand', '--out', 'all.csv', '--rows', 'rows.jsonl')).toMatchObject({
    judgements: { judgements: 6 },
    rows: { rows: 3, divided: 0 },
  });
  expect(readFileSync(join(folder, 'all.csv'), 'utf8').split('\r\n')).toHaveLength(8);
  const { sources, rows } = await run('dataset', 'create', '-f', 'judged.yaml');
  expect(sources).toMatchObject([{ name: 'study:by-hand', licence: 'Apache-2.0 AND CC-BY-4.0', rows: 3 }]);
  expect(rows.train + rows.validation + rows.test).toBe(3);
  await run('study', 'close', 'by-hand');
  await run('study', 'delete', 'by-hand');
  expect((await after.end('SIGTERM')).code).toBe(0);
}, 900_000);
