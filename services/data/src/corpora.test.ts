import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lines } from '@emotune/records';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { corpora } from './corpora.js';
import { download, locate } from './locate.js';

const corporaDir = process.env['EMOTUNE_CORPORA'];
if (corporaDir === undefined)
  process.stderr.write('SKIPPED corpora: set EMOTUNE_CORPORA to the folder of corpora\n');

let cacheDir: string;
beforeAll(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'emotune-corpora-'));
});
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

// Examples per corpus: rows as published (Hutto and Gilbert 2014; Buechel and Hahn 2017; Demszky et al. 2020; Öhman et
// al. 2020; RED v1) times the questions asked of each, without rows that hold no text.
const published: Record<string, number> = {
  'vader-tweets': 2 * 4200,
  'vader-movies': 2 * 10605,
  'vader-amazon': 2 * 3708,
  'vader-nyt': 2 * 5190,
  goemotions: 43410 + 5426 + 5427,
  'goemotions-ekman': 43410 + 5426 + 5427,
  'red-ro': 3237 + 405 + 405,
};

// Rows whose ratings have the published mean: VADER's files disagree on 199 tweets and one snippet, and EmoBank's means leave raters
// out whom its individual files still have.
const rated: Record<string, number> = {
  'vader-tweets': 4200 - 199,
  'vader-movies': 10605,
  'vader-amazon': 3708 - 1,
  'vader-nyt': 5190,
};

describe.skipIf(corporaDir === undefined)('the corpora as published', () => {
  it.each(corpora.filter((c) => c.files.length > 0).map((c) => [c.name, c] as const))(
    '%s is read whole and valid',
    async (name, corpus) => {
      const paths = await locate(corpus, { corporaDir, cacheDir, download: false });
      const skipped: string[] = [];
      const contents = paths.map((path) => readFileSync(path, 'utf8'));
      const examples = corpus.examples(contents, (reason) => skipped.push(reason));
      const rows = contents.reduce((sum, content) => sum + lines(content).length, 0);
      if (name.startsWith('xed-')) expect(examples.length + skipped.length).toBe(rows);
      else if (name !== 'emobank') expect(skipped).toEqual([]);
      if (name in published) expect(examples).toHaveLength(published[name]);
      expect(examples.length).toBeGreaterThan(1000);
      expect(new Set(examples.map((e) => e.id)).size).toBe(examples.length);
      for (const e of examples) {
        expect(e.text).not.toBe('');
        if (e.gold.value === null) expect(e.labelSet).toEqual(expect.arrayContaining([...e.gold.labels]));
        else expect(e.gold.value).toBeGreaterThanOrEqual(0);
        const { ratings, raters, votes, value } = e.gold;
        if (ratings.length === 0) continue;
        const mean = ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length;
        expect([ratings.length, Object.keys(votes)]).toEqual([raters, []]);
        // A unit of EmoBank's second digit, on 1..5.
        expect(Math.abs(mean - value!)).toBeLessThan(0.0016);
      }
      const withRatings = (task: string) =>
        examples.filter((e) => e.task === task && e.gold.raters !== null).length;
      if (name in rated) {
        expect(withRatings('sentiment-regression')).toBe(rated[name]);
        expect(withRatings('sentiment-classification')).toBe(rated[name]);
      } else if (name === 'emobank') expect(withRatings('sentiment-regression')).toBe(6399);
    },
  );
});

it('the bundled review sentences are 3,000 with two classes in balance', () => {
  const examples = corpora.find((c) => c.name === 'review-sentences')!.examples([], () => {});
  expect(examples).toHaveLength(3000);
  expect(examples.filter((e) => e.gold.labels[0] === 'positive')).toHaveLength(1500);
});

describe('download', () => {
  const content = Buffer.from('x'.repeat(5000));
  const sha256 = createHash('sha256').update(content).digest('hex');
  let server: Server;
  let base: string;
  const ranges: (string | undefined)[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      ranges.push(request.headers.range);
      if (request.url === '/gone') return response.writeHead(404).end();
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      response.writeHead(from ? 206 : 200, { 'content-length': content.length - from });
      return response.end(content.subarray(from));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('goes on where an earlier one stopped', async () => {
    const target = join(cacheDir, 'resumed', 'file');
    mkdirSync(join(cacheDir, 'resumed'));
    writeFileSync(`${target}.part`, content.subarray(0, 1234));
    await download({ path: 'file', url: `${base}/file`, sha256 }, target, { cacheDir, download: true });
    expect(readFileSync(target)).toEqual(content);
    expect(ranges).toContain('bytes=1234-');
  });

  it('refuses other content and leaves nothing behind', async () => {
    const target = join(cacheDir, 'other');
    const fetched = download({ path: 'other', url: `${base}/file`, sha256: 'f'.repeat(64) }, target, {
      cacheDir,
      download: true,
    });
    await expect(fetched).rejects.toThrow('expected SHA-256 fff');
    expect(() => readFileSync(target)).toThrow();
    expect(() => readFileSync(`${target}.part`)).toThrow();
  });

  it('says what the server answered', async () => {
    const fetched = download({ path: 'gone', url: `${base}/gone`, sha256 }, join(cacheDir, 'gone'), {
      cacheDir,
      download: true,
    });
    await expect(fetched).rejects.toThrow('/gone: HTTP 404');
  });
});
