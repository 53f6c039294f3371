/** The page for raters as any client sees it, without a browser: links, cookies, forms, and what is refused. */
import { request } from 'node:http';
import { common, type evaluation } from '@emotune/proto';
import type { Draft } from '@emotune/service';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { numberPrediction, startService, studyFields, type TestService } from './test-service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

let made = 0;

async function opened(fields: Draft<evaluation.StudySpec> = {}) {
  const name = `page-${++made}`;
  await service.studies.call('createStudy', { spec: { ...studyFields, name, ...fields } });
  const { links } = await service.studies.call('openStudy', { name });
  return { name, links, linkOf: (rater: string) => links.find((link) => link.rater === rater)!.url };
}

/** A browser without scripts: it keeps one cookie, and follows redirects. */
class Reader {
  cookie = '';
  page = '';
  code = 0;
  path = '';
  private origin = '';

  private async fetch(url: string, init: RequestInit = {}): Promise<void> {
    const { pathname, search, origin } = new URL(url, this.origin || undefined);
    this.origin = origin;
    const response = await fetch(origin + pathname + search, {
      ...init,
      redirect: 'manual',
      headers: { ...init.headers, ...(this.cookie ? { cookie: this.cookie } : {}) },
    });
    const set = response.headers.get('set-cookie');
    if (set) this.cookie = set.split(';')[0];
    this.code = response.status;
    this.page = await response.text();
    this.path = pathname;
    if (response.status === 303) await this.fetch(response.headers.get('location')!);
  }

  open(url: string): Promise<void> {
    return this.fetch(url);
  }

  hidden(name: string): string {
    return new RegExp(`name="${name}" value="([^"]*)"`).exec(this.page)?.[1] ?? '';
  }

  /** Sends the form that is shown. */
  async send(fields: readonly (readonly [string, string])[], init: RequestInit = {}): Promise<void> {
    const action = /<form method="post" action="([^"]*)"/.exec(this.page)![1];
    const known = ['form', 'item', 'request'].flatMap((name) => {
      const value = this.hidden(name);
      return value === '' || fields.some(([given]) => given === name) ? [] : [[name, value]];
    });
    await this.fetch(action, {
      method: 'POST',
      body: new URLSearchParams([...known, ...fields] as never),
      ...init,
    });
  }
}

it('leads from the link over consent to the last item, by forms alone', async () => {
  const { name, linkOf } = await opened();
  const reader = new Reader();
  await reader.open(linkOf('ada'));
  expect(reader.path).toBe(`/studies/${name}`);
  expect(reader.page).toContain('Your answers are kept.');
  await reader.send([]);
  expect([reader.code, reader.page.includes('expected true from who has read')]).toEqual([409, true]);
  await reader.open(`/studies/${name}`);
  await reader.send([['consent', 'yes']]);
  for (let i = 1; i <= 4; i++) {
    expect(reader.page).toContain(`${i} of 4`);
    if (i === 2) {
      await reader.send([]);
      expect([reader.code, reader.page.includes('role="alert"')]).toEqual([422, true]);
      expect(reader.page).toContain('2 of 4');
    }
    await reader.send([['value', '3']]);
  }
  expect(reader.page).toContain('That was the last text. Thank you!');
  const { judgements } = await service.studies.call('listJudgements', { study: name });
  expect(judgements.map(({ answer }) => answer!.value)).toEqual([3, 3, 3, 3]);
});

it('makes one rater of a form of the link for anybody that is sent twice, and lets the rater come back', async () => {
  const { name, linkOf } = await opened({ raters: [], anybody: true });
  const reader = new Reader();
  await reader.open(linkOf(''));
  const link = reader.cookie;
  const shown = reader.page;
  await reader.send([['consent', 'yes']]);
  expect(reader.cookie).not.toBe(link);
  const own = reader.cookie;
  await reader.send([['value', '0']]);
  Object.assign(reader, { cookie: link, page: shown });
  await reader.send([['consent', 'yes']]);
  expect(reader.cookie).toBe(own);
  expect(reader.page).toContain('2 of 4');
  expect((await service.studies.call('getStudy', { name })).raters).toMatchObject([
    { name: 'rater-1', judgements: 1 },
  ]);
});

it('lets the last answer be changed where the study says so', async () => {
  const { name, linkOf } = await opened({ revisable: true });
  const reader = new Reader();
  await reader.open(linkOf('ada'));
  await reader.send([['consent', 'yes']]);
  expect(reader.page).not.toContain('Change the last answer');
  await reader.send([['value', '-4']]);
  const again = /href="(\/studies\/[^"]*\?item=\d+)"/.exec(reader.page)![1];
  await reader.open(again);
  expect(reader.page).toMatch(/value="-4"[^>]* checked/);
  await reader.send([['value', '4']]);
  expect(reader.page).toContain('2 of 4');
  const { judgements } = await service.studies.call('listJudgements', { study: name });
  expect(judgements).toMatchObject([{ answer: { value: 4 }, revisions: 1 }]);
});

it('takes no form of elsewhere', async () => {
  const { name, linkOf } = await opened();
  const reader = new Reader();
  await reader.open(linkOf('ada'));
  const consent = [['consent', 'yes']] as const;
  const shown = reader.page;
  const refused = async (fields: readonly (readonly [string, string])[], init: RequestInit = {}) => {
    reader.page = shown;
    await reader.send(fields, init);
    return reader.code;
  };
  expect(await refused([...consent, ['form', '0'.repeat(64)]])).toBe(403);
  expect(await refused(consent, { headers: { 'sec-fetch-site': 'cross-site' } })).toBe(403);
  expect(
    await refused(consent, {
      body: JSON.stringify({ consent: 'yes' }),
      headers: { 'content-type': 'application/json' },
    }),
  ).toBe(415);
  expect(await refused([...consent, ['padding', 'x'.repeat(70_000)]])).toBe(413);
  expect(await refused([...consent, ['padding', '\0']])).toBe(400);
  const { cookie } = reader;
  reader.cookie = '';
  expect(await refused(consent)).toBe(401);
  reader.cookie = `${cookie.split('.')[0]}.${'a'.repeat(43)}`;
  expect(await refused(consent)).toBe(401);
  expect((await service.studies.call('getStudy', { name })).raters[0].consented).toBe(false);
});

it('keeps a rater within one study', async () => {
  const [first, second] = [await opened(), await opened()];
  const reader = new Reader();
  await reader.open(first.linkOf('ada'));
  await reader.open(`/studies/${second.name}`);
  expect(reader.path).toBe(`/studies/${first.name}`);
});

it('says what is wrong with a link, and when a study takes no answers', async () => {
  const { name, linkOf } = await opened();
  const { origin } = new URL(linkOf('ada'));
  const reader = new Reader();
  for (const path of [
    '/',
    '/studies/',
    '/studies/join/a.b',
    '/studies/join/../../etc',
    '/favicon.ico',
    '/studies/page.css/x',
  ]) {
    await reader.open(origin + path);
    expect([path, reader.code]).toEqual([path, 404]);
  }
  await reader.open(`${origin}/studies/${name}`);
  expect([reader.code, reader.page.includes('does not know you')]).toEqual([401, true]);
  await reader.open(linkOf('ada'));
  await service.studies.call('closeStudy', { name });
  await reader.open(linkOf('ada'));
  expect(reader.page).toContain('This study takes no answers now.');
  await service.studies.call('deleteStudy', { name });
  await reader.open(`/studies/${name}`);
  expect([reader.code, reader.page.includes('This link is not good')]).toEqual([401, true]);
});

it('shows every text as a text, and lets nothing be loaded or run', async () => {
  const hostile = `<img src=x onerror="alert(1)">\u202egnp.exe\u0007 "quoted" & 'so' </article><script>alert(2)</script>`;
  await service.evaluated('hostile-1', [numberPrediction(1, { text: hostile, language: 'he' })]);
  const { linkOf } = await opened({
    sample: { evaluation: 'hostile-1', items: 1 },
    title: '<b>bold</b>',
    instructions: '</div><script>1</script>',
  });
  const reader = new Reader();
  await reader.open(linkOf('ada'));
  expect(reader.page).toContain('&lt;b&gt;bold&lt;/b&gt;');
  expect(reader.page).not.toContain('<script>1');
  await reader.send([['consent', 'yes']]);
  expect(reader.page).toContain(
    '<bdi lang="he">&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\u202egnp.exe\\u0007',
  );
  expect(reader.page).not.toMatch(/<img|<script>|\u202e/);
  const response = await fetch(linkOf('ada'));
  const policy = response.headers.get('content-security-policy')!;
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(response.headers.get('referrer-policy')).toBe('no-referrer');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(reader.page).not.toMatch(/(src|href)="(https?:)?\/\//);
});

it('sets a cookie that no script reads and no other page sends', async () => {
  const { name, linkOf } = await opened();
  const response = await fetch(linkOf('ada'), { redirect: 'manual' });
  const cookie = response.headers.get('set-cookie')!;
  for (const part of [`Path=/studies/${name}`, 'HttpOnly', 'SameSite=Lax']) expect(cookie).toContain(part);
});

it('gives up on who sends a form and never ends', async () => {
  const { name, linkOf } = await opened();
  const reader = new Reader();
  await reader.open(linkOf('ada'));
  const { hostname, port } = new URL(linkOf('ada'));
  const ended = new Promise<number | undefined>((resolve) => {
    const sent = request(
      {
        ...{ hostname, port, method: 'POST', path: `/studies/${name}/consent` },
        headers: {
          cookie: reader.cookie,
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': 100,
        },
      },
      (response) => resolve(response.statusCode),
    );
    sent.on('error', () => resolve(undefined));
    sent.write('form=');
  });
  expect([408, undefined]).toContain(await ended);
});

it('asks for labels, several of them, and for numbers that are too many to choose among', async () => {
  const of = common.Task.TASK_SENTIMENT_CLASSIFICATION;
  const several = await opened({
    sample: { dataset: 'letters', items: 1 },
    rating: { task: of, labels: ['bad', 'fair', 'good'], multiLabel: true },
  });
  const reader = new Reader();
  await reader.open(several.linkOf('ada'));
  await reader.send([['consent', 'yes']]);
  expect(reader.page).toContain('type="checkbox" id="answer-0" name="label" value="bad" data-key="1"');
  await reader.send([
    ['label', 'bad'],
    ['label', 'fair'],
  ]);
  const { judgements } = await service.studies.call('listJudgements', { study: several.name });
  expect(judgements[0].answer!.labels).toEqual(['bad', 'fair']);
  const fine = await opened({
    rating: { task: common.Task.TASK_SENTIMENT_REGRESSION, scale: { low: 0, high: 100 }, step: 1 },
  });
  await reader.open(fine.linkOf('ada'));
  await reader.send([['consent', 'yes']]);
  expect(reader.page).toContain('<input type="number" id="answer-0" name="value" min="0" max="100" step="1"');
  await reader.send([['value', '57']]);
  expect(reader.page).toContain('2 of 4');
});
