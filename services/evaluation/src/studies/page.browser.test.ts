/** The page for raters in real Chromium, by keyboard alone. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { common, type evaluation } from '@emotune/proto';
import type { Draft } from '@emotune/service';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  labelPrediction,
  numberPrediction,
  startService,
  studyFields,
  type TestService,
} from './test-service.js';

function installed(): string | undefined {
  const { EMOTUNE_CHROMIUM: named, PATH = '' } = process.env;
  if (named) return named;
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  return PATH.split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find(existsSync);
}

const executable = installed();
if (executable === undefined)
  process.stderr.write('SKIPPED: no Chromium here (apt-get install chromium, or EMOTUNE_CHROMIUM=PATH)\n');

let service: TestService;
let browser: Browser;
let made = 0;

async function opened(fields: Draft<evaluation.StudySpec> = {}) {
  const name = `seen-${++made}`;
  await service.studies.call('createStudy', { spec: { ...studyFields, name, ...fields } });
  const { links } = await service.studies.call('openStudy', { name });
  return { name, linkOf: (rater: string) => links.find((link) => link.rater === rater)!.url };
}

/** A page, what it has fetched from where, and what it has complained of. */
async function reader(options: BrowserContextOptions = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  // It only ends a hang.
  page.setDefaultTimeout(200_000);
  const origins = new Set<string>();
  const complaints: string[] = [];
  page.on('request', (request) => {
    if (request.url() !== 'data:,') origins.add(new URL(request.url()).origin);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { context, page, origins, complaints };
}

/** What axe finds that is serious, by rule. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

const shownStatus = (page: Page) => page.locator('#status').textContent();
const untilStatus = (page: Page, text: string) =>
  page.locator('#status', { hasText: text }).waitFor({ state: 'attached' });

/** The outline of what has the focus: how thick, and whether it is drawn. */
function outline(page: Page): Promise<{ tag: string; style: string; width: number }> {
  return page.evaluate(`(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return { tag: document.activeElement.tagName, style: outlineStyle, width: parseFloat(outlineWidth) };
  })()`);
}

describe.skipIf(executable === undefined)('in Chromium', () => {
  beforeAll(async () => {
    service = await startService();
    browser = await chromium.launch({ executablePath: executable!, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    await service?.close();
  });

  it.each<[string, BrowserContextOptions]>([
    ['on a desk, light', { colorScheme: 'light' }],
    ['on a phone, dark', { colorScheme: 'dark', viewport: { width: 320, height: 568 } }],
  ])('leads by keyboard from consent to the last item, %s', async (_, options) => {
    const { name, linkOf } = await opened({ attention: { builtIn: 1 }, instructions: 'Judge the writer.' });
    const { page, origins, complaints, context } = await reader(options);
    const fits = () => page.evaluate('document.documentElement.scrollWidth <= innerWidth');
    await page.goto(linkOf('ada'));
    expect(await violations(page)).toEqual([]);
    expect(await fits()).toBe(true);
    await page.keyboard.press('1');
    expect(await outline(page)).toMatchObject({ tag: 'INPUT', style: 'solid' });
    await page.keyboard.press('Enter');
    for (let number = 1; number <= 5; number++) {
      await untilStatus(page, `Text ${number} of 5`);
      if (number === 1) {
        expect(await violations(page)).toEqual([]);
        expect(await fits()).toBe(true);
        // The text has the focus, so that it is read; from there on to the first answer.
        expect(await outline(page)).toMatchObject({ tag: 'ARTICLE', style: 'solid', width: 3 });
        await page.keyboard.press('Tab');
        await page.keyboard.press('Space');
        await page.keyboard.press('ArrowRight');
        expect(await page.locator('input:checked').getAttribute('value')).toBe('-3');
      }
      await page.keyboard.press('7');
      expect(await page.locator('input:checked').getAttribute('value')).toBe('2');
      await page.keyboard.press('Enter');
    }
    await untilStatus(page, '5 judged, none left');
    expect(await violations(page)).toEqual([]);
    expect(await page.locator('main').textContent()).toContain('That was the last text. Thank you!');
    expect([...origins]).toEqual([new URL(linkOf('ada')).origin]);
    expect(complaints).toEqual([]);
    await context.close();
    const { judgements } = await service.studies.call('listJudgements', { study: name });
    expect(judgements.map(({ answer }) => answer!.value)).toEqual([2, 2, 2, 2, 2]);
  });

  it('goes no further without an answer, loses none while the service is away, and goes on where it was left', async () => {
    const { name, linkOf } = await opened();
    const { page, context } = await reader();
    await page.goto(linkOf('ada'));
    await page.keyboard.press('Enter');
    expect(await page.locator('#consent').isVisible()).toBe(true);
    await page.keyboard.press('1');
    await page.keyboard.press('Enter');
    await untilStatus(page, 'Text 1 of 4');
    await page.keyboard.press('Enter');
    expect(await shownStatus(page)).toBe('Text 1 of 4');
    await context.setOffline(true);
    await page.keyboard.press('3');
    await page.keyboard.press('Enter');
    await untilStatus(page, 'Your answer could not be sent.');
    expect(await page.locator('#status').isVisible()).toBe(true);
    await context.setOffline(false);
    await page.keyboard.press('Enter');
    await untilStatus(page, 'Text 2 of 4');
    const text = await page.locator('article').textContent();
    await context.close();
    const later = await reader();
    await later.page.goto(linkOf('ada'));
    expect(await later.page.locator('article').textContent()).toBe(text);
    await later.context.close();
    const { judgements } = await service.studies.call('listJudgements', { study: name });
    expect(judgements.map(({ answer }) => answer!.value)).toEqual([-2]);
  });

  it('works without scripts, too, by Tab, Space and Enter', async () => {
    const { name, linkOf } = await opened({ sample: { evaluation: 'first-1', items: 1 } });
    const { page, context } = await reader({ javaScriptEnabled: false });
    await page.goto(linkOf('ada'));
    for (const key of ['Tab', 'Space', 'Tab', 'Enter']) await page.keyboard.press(key);
    await page.locator('article').waitFor();
    for (const key of ['Tab', 'Space', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
    await page.getByText('That was the last text.').waitFor();
    await context.close();
    expect((await service.studies.call('getStudy', { name })).judgements).toBe(1);
  });

  it('compares two answers by the same keys', async () => {
    const rows = Array.from({ length: 3 }, (_, i) => i);
    await service.evaluated(
      'left-1',
      rows.map((i) => labelPrediction(i, 'negative')),
    );
    await service.evaluated(
      'right-1',
      rows.map((i) => labelPrediction(i, 'positive')),
    );
    const { name, linkOf } = await opened({
      sample: { evaluation: 'left-1' },
      rating: undefined,
      comparison: { against: 'right-1' },
    });
    const { page, context, complaints } = await reader();
    await page.goto(linkOf('ben'));
    await page.keyboard.press('1');
    await page.keyboard.press('Enter');
    for (const [i, key] of ['3', '4', '1'].entries()) {
      await untilStatus(page, `Text ${i + 1} of 3`);
      if (i === 0) expect(await violations(page)).toEqual([]);
      await page.keyboard.press(key);
      await page.keyboard.press('Enter');
    }
    await untilStatus(page, 'none left');
    expect(complaints).toEqual([]);
    await context.close();
    const { preferences } = await service.studies.call('getStudyReport', { name });
    expect(preferences).toMatchObject({ both: 1, neither: 1 });
    expect(preferences!.first + preferences!.second).toBe(1);
  });

  it('ticks several labels by keys', async () => {
    const { name, linkOf } = await opened({
      sample: { dataset: 'letters', items: 1 },
      rating: {
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        labels: ['anger', 'fear', 'joy'],
        multiLabel: true,
      },
    });
    const { page, context } = await reader();
    await page.goto(linkOf('ada'));
    await page.keyboard.press('1');
    await page.keyboard.press('Enter');
    await untilStatus(page, 'Text 1 of 1');
    for (const key of ['1', '2', '3', '2']) await page.keyboard.press(key);
    await page.keyboard.press('Enter');
    await untilStatus(page, 'none left');
    await context.close();
    const { judgements } = await service.studies.call('listJudgements', { study: name });
    expect(judgements[0].answer!.labels).toEqual(['anger', 'joy']);
  });

  it('shows hostile texts as texts', async () => {
    const hostile = `<img src=x onerror="alert(1)"><script>alert(2)</script> \u202eright to left\u202c \u0007\u001b[31m שלום`;
    await service.evaluated('hostile-1', [numberPrediction(1, { text: hostile, language: 'he' })]);
    const { linkOf } = await opened({
      sample: { evaluation: 'hostile-1', items: 1 },
      title: '<script>alert(3)</script>',
    });
    const { page, context, complaints } = await reader();
    await page.goto(linkOf('ada'));
    await page.keyboard.press('1');
    await page.keyboard.press('Enter');
    await untilStatus(page, 'Text 1 of 1');
    expect(await page.locator('article').textContent()).toBe(
      '<img src=x onerror="alert(1)"><script>alert(2)</script> \\u202eright to left\\u202c \\u0007\\u001b[31m שלום',
    );
    expect(await page.locator('article img, article script').count()).toBe(0);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });
});
