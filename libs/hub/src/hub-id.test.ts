import { homedir } from 'node:os';
import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import { classNamesOfCard, licenceOfCard } from './card.js';
import { hubIdText, parseHubId } from './hub-id.js';
import { hubSettings } from './settings.js';

it.each([
  ['hf:org/name', { kind: 'model', repo: 'org/name', revision: 'main' }],
  ['hf:name', { kind: 'model', repo: 'name', revision: 'main' }],
  ['hf:org/na.me_1@refs/pr/3', { kind: 'model', repo: 'org/na.me_1', revision: 'refs/pr/3' }],
  ['hf:datasets/org/name@v1.0', { kind: 'dataset', repo: 'org/name', revision: 'v1.0' }],
  ['hf:org/name:Q8 0.gguf', { kind: 'model', repo: 'org/name', revision: 'main', file: 'Q8 0.gguf' }],
  ['hf:org/name@x:a/b.gguf', { kind: 'model', repo: 'org/name', revision: 'x', file: 'a/b.gguf' }],
])('%s is a name', (text, id) => {
  expect(parseHubId(text, 'source')).toEqual(id);
  expect(parseHubId(hubIdText(parseHubId(text, 'source')), 'source')).toEqual(id);
});

it.each([
  'org/name',
  'hf:',
  'hf:a/b/c',
  'hf:../x',
  'hf:a/b@../x',
  'hf:a/b:../x',
  'hf:a--b/c',
  'hf:a b/c',
  'hf:a/b@',
  'hf:a/b:x//y',
])('%s is none', (text) => {
  expect(() => parseHubId(text, 'source')).toThrow(InvalidArgument);
});

it('settings follow the variables of Hugging Face’s own tools', async () => {
  expect(hubSettings({})).toMatchObject({
    endpoint: 'https://huggingface.co',
    cacheDir: `${homedir()}/.cache/huggingface/hub`,
    offline: false,
  });
  expect(hubSettings({ XDG_CACHE_HOME: '/c' }).cacheDir).toBe('/c/huggingface/hub');
  expect(hubSettings({ HF_HOME: '/h', XDG_CACHE_HOME: '/c' }).cacheDir).toBe('/h/hub');
  expect(hubSettings({ HF_HOME: '/h', HF_HUB_CACHE: '~/mine', HF_HUB_OFFLINE: 'TRUE' })).toMatchObject({
    cacheDir: `${homedir()}/mine`,
    offline: true,
  });
  expect(hubSettings({ HF_ENDPOINT: 'https://mirror.example/' }).endpoint).toBe('https://mirror.example');
  expect(await hubSettings({ HF_HOME: '/nowhere' }).token()).toBeUndefined();
  expect(await hubSettings({ HF_TOKEN: ' hf_a\n' }).token()).toBe('hf_a');
});

it.each([
  ['---\nlicense: mit\n---\n', 'mit'],
  ['---\nlanguage: en\r\nlicense: "cc-by-4.0"  # as agreed\r\n---\n', 'cc-by-4.0'],
  ["---\nlicense: other\nlicense_name: 'llama3.2'\n---\n", 'llama3.2'],
  ['---\nlicense: other\n---\n', 'other'],
  ['license: mit', ''],
  ['---\nlicense:\n- mit\n- cc0-1.0\nlanguage: en\n---\n', 'mit, cc0-1.0'],
  ['', ''],
])('the licence of %j is %j', (card, licence) => {
  expect(licenceOfCard(card)).toBe(licence);
});

it('the names of classes are told by column, as one description or by configuration, in lists too', () => {
  const features = (indent: string) =>
    [
      'features:',
      '- name: text',
      '  dtype: string',
      '- name: label',
      '  dtype:',
      '    class_label:',
      '      names:',
      "        '0': sad",
      "        '1': glad",
      '- name: labels',
      '  sequence:',
      '    class_label:',
      "      names: {'0': awe}",
    ]
      .map((line) => `${indent}${line}\n`)
      .join('');
  const want = new Map([
    ['label', ['sad', 'glad']],
    ['labels', ['awe']],
  ]);
  expect(classNamesOfCard(`---\ndataset_info:\n${features('  ')}---\n`)).toEqual(want);
  expect(classNamesOfCard(`---\ndataset_info:\n- config_name: a\n${features('  ')}---\n`)).toEqual(want);
  for (const card of ['', '---\na: [\n---\n', '---\ndataset_info: 3\n---\n'])
    expect(classNamesOfCard(card)).toEqual(new Map());
});
