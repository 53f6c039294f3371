import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import { type ChatMessage, loadChatTemplate, parseChatTemplate, renderChat } from './chat.js';

const tokens = { bos_token: '<s>', eos_token: '</s>' };
const turns = `{%- set system = namespace(text='') %}
{%- for m in messages if m.role == 'system' %}
    {%- set system.text = m.content | trim %}
{%- endfor %}
{{- bos_token }}
{%- for m in messages %}
    {%- if m.role == 'user' %}
        {{- '[INST] ' + (system.text + '\\n\\n' if loop.index0 < 2 and system.text else '') + m.content | trim + ' [/INST]' }}
    {%- elif m.role == 'assistant' %}
        {{- ' ' + m.content + eos_token }}
    {%- elif m.role != 'system' %}
        {{- raise_exception('unknown role ' + m.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ ' >' }}{% endif %}
`;
const blocks = `  {% if messages[0].role == 'system' %}
  System: {{ messages[0].content | upper }}
  {% endif %}
{% for m in messages[1:] %}
{{ loop.index }}/{{ loop.length }} {{ m | tojson }}
{% else %}
nothing
{% endfor %}
`;
const one = [{ role: 'user', content: ' How do you feel? ' }];
const three = [
  { role: 'system', content: ' Be kind. ' },
  { role: 'user', content: 'I lost my keys — "again" & <soon>.' },
  { role: 'assistant', content: 'Oh no!' },
  { role: 'user', content: 'Help?' },
];

// From transformers 5.23.0, render_jinja_template with bos_token '<s>' and eos_token '</s>'.
const rendered: [string, ChatMessage[], boolean, string][] = [
  [turns, one, false, '<s>[INST] How do you feel? [/INST]'],
  [turns, one, true, '<s>[INST] How do you feel? [/INST] >'],
  [
    turns,
    three,
    false,
    '<s>[INST] Be kind.\n\nI lost my keys — "again" & <soon>. [/INST] Oh no!</s>[INST] Help? [/INST]',
  ],
  [blocks, one, false, 'nothing\n'],
  [
    blocks,
    three,
    false,
    '  System:  BE KIND. \n1/3 {"role": "user", "content": "I lost my keys — \\"again\\" & <soon>."}\n2/3 {"role": "assistant", "content": "Oh no!"}\n3/3 {"role": "user", "content": "Help?"}\n',
  ],
];

it.each(rendered)(
  'a chat is rendered as transformers does: %#',
  (template, messages, addGenerationPrompt, text) => {
    expect(renderChat({ template, tokens }, messages, { addGenerationPrompt })).toBe(text);
  },
);

it('a template refuses messages in its own words', () => {
  const odd = [{ role: 'critic', content: '' }];
  expect(() => renderChat({ template: turns, tokens }, odd)).toThrow(
    'chat_template: expected a template for these messages: unknown role critic',
  );
});

it.each([
  ['{% if %}', InvalidArgument],
  ['{{ messages | nosuchfilter }}', InvalidArgument],
  ['{% for i in range(10 ** 9) %}{% endfor %}', InvalidArgument],
  ['{% for i in range(1, 2, 0) %}{% endfor %}', InvalidArgument],
  ["{{ strftime_now('%d %b %Y') }}", InvalidArgument],
])('refuses %s', (template, error) => {
  expect(() => renderChat({ template, tokens }, one)).toThrow(error);
});

it('writes the date it is given', () => {
  const template = "{{ strftime_now('%d %b %Y, %A %H:%M') }} {{ date_string }}";
  const now = new Date('2024-07-26T09:05:00Z');
  expect(renderChat({ template, tokens }, [], { now, variables: { date_string: 'x' } })).toBe(
    '26 Jul 2024, Friday 09:05 x',
  );
});

it.each([
  ['loops', '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}'],
  [
    'doubling',
    `{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}`,
  ],
  ['much output', `{% for i in range(99999) %}${'y'.repeat(999)}{% endfor %}`],
  ['recursion', '{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}'],
  [
    'branching recursion',
    '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
  ],
  [
    'lists of lists',
    `{% set ns = namespace(x=[1, 2]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}`,
  ],
  [
    'namespaces',
    `{% set a = namespace(x=1) %}{% set b = namespace(l=[a, a, a]) %}${'{% set a = namespace(l=[b, b, b]) %}{% set b = namespace(l=[a, a, a]) %}'.repeat(20)}{{ b.l | tojson }}`,
  ],
  ['searching', '{% set l = range(99999) %}{% for i in l %}{% if -1 in l %}{% endif %}{% endfor %}'],
  ['nesting', `{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`],
])('refuses a template without an end in sight: %s', (_, template) => {
  expect(() => renderChat({ template, tokens: {} }, one)).toThrow(InvalidArgument);
});

it('finds the template of a folder and its special tokens', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'emotune-chat-'));
  try {
    expect(await loadChatTemplate(dir)).toBeUndefined();
    const config = {
      bos_token: { content: '<s>' },
      eos_token: '</s>',
      pad_token: null,
      chat_template: [
        { name: 'tools', template: 'b' },
        { name: 'default', template: 'a' },
      ],
    };
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
    expect(await loadChatTemplate(dir)).toEqual({ template: 'a', tokens });
    writeFileSync(join(dir, 'chat_template.jinja'), 'c');
    expect(await loadChatTemplate(dir)).toEqual({ template: 'c', tokens });
    writeFileSync(join(dir, 'tokenizer_config.json'), '{');
    await expect(loadChatTemplate(dir)).rejects.toThrow('expected JSON');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  expect(() => parseChatTemplate({ chat_template: [{ name: 'tools', template: 'b' }, null] })).toThrow(
    'chat_template: expected text or a list with a template named default',
  );
});
