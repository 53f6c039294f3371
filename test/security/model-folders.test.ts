/**
 * Model folders that somebody made to do harm: what they hold is refused by name, within bounded work, and never ends the process
 * that reads it. A native library that aborts would end this test with it.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgument } from '@emotune/base';
import { loadAdapter, loadModel, parseConfig } from '@emotune/models';
import { Tokenizer, tryTokenizer } from '@emotune/text';
import { afterAll, describe, expect, it } from 'vitest';
import { emotune, serve } from '../e2e/platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-hostile-'));
const baseModel = fileURLToPath(new URL('../../models/emotune-opt-4m', import.meta.url));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const slow = [
  '(a+)+$',
  '(a|a)*c',
  '(?:a|aa)+$',
  '(?:.*)+=x',
  '(?:\\w*\\w*)*=|x',
  '(?=(a+)+$)a',
  '(?>(?:a+)+)=|(?:(?:a+)+)+=',
];
const texts = ['a'.repeat(64), `${'a'.repeat(20_000)}!`, ' '.repeat(20_000), 'a!'.repeat(10_000)];

const model = {
  type: 'BPE',
  vocab: { a: 0, b: 1, ' ': 2, '!': 3, '</s>': 4 },
  merges: [],
  unk_token: 'b',
};
const token = (id: number, content: string, more = {}) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false },
  ...more,
});
const times = <T>(count: number, of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i));
const replace = (pattern: object, content: string) => ({ type: 'Replace', pattern, content });
const normalizers = (...list: object[]) => ({ normalizer: { type: 'Sequence', normalizers: list } });
const words = (...list: object[]) => ({ pre_tokenizer: { type: 'Sequence', pretokenizers: list } });

/** Refused when it is read, or at one of the texts. */
function use(parts: object): void {
  const tokenizer = Tokenizer.parse({ added_tokens: [], model, ...parts });
  tryTokenizer(tokenizer);
  for (const text of texts) tokenizer.decode(tokenizer.encode(text));
}

describe('a tokenizer with a regular expression that backtracks without an end', () => {
  const split = (Regex: string) => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  });
  const places: [string, (regex: string) => object][] = [
    ['splitting', (regex) => ({ pre_tokenizer: split(regex) })],
    ['splitting among others', (regex) => words({ type: 'Digits', individual_digits: true }, split(regex))],
    ['normalizing', (Regex) => ({ normalizer: replace({ Regex }, '-') })],
    ['normalizing among others', (Regex) => normalizers({ type: 'NFC' }, replace({ Regex }, '-'))],
    [
      'normalizing an added token',
      (Regex) => ({ normalizer: replace({ Regex }, ''), added_tokens: [token(9, `${'a'.repeat(999)}!`)] }),
    ],
    ['decoding', (Regex) => ({ decoder: replace({ Regex }, '-') })],
  ];
  const cases = places.flatMap(([where, parts]) => slow.map((regex) => [where, regex, parts] as const));
  it.each(cases)('when %s is refused by name: %s', (_, regex, parts) => {
    expect(() => use(parts(regex))).toThrow(InvalidArgument);
    expect(() => use(parts(regex))).toThrow(
      /^tokenizer\.json: (pre_tokenizer|normalizer|decoder): .*pattern: /,
    );
  });
});

describe('a tokenizer', () => {
  const map = (units: number[], text = 'x\0') => {
    const bytes = Buffer.alloc(4 + 4 * 1024 + Buffer.byteLength(text));
    bytes.writeUInt32LE(4096);
    for (const [i, unit] of units.entries()) bytes.writeUInt32LE(unit, 4 + 4 * i);
    bytes.write(text, 4 + 4096);
    return { normalizer: { type: 'Precompiled', precompiled_charsmap: bytes.toString('base64') } };
  };
  const a = 'a'.charCodeAt(0);
  /** 'a' leads to what stands in unit 512. */
  const leaf = (value: number) => {
    const units = times(1024, () => 0);
    units[0] = 256 << 10;
    units[256 ^ a] = ((256 ^ a ^ 512) << 10) | 256 | a;
    units[512] = value;
    return units;
  };

  it('maps characters as SentencePiece says', () => {
    const tokenizer = Tokenizer.parse({ added_tokens: [], model, ...map(leaf(2 ** 31), 'b!\0') });
    expect([...tokenizer.encode('a a')]).toEqual([1, 3, 2, 1, 3]);
  });

  it.each<[string, object]>([
    ['doubling again and again', normalizers(...times(30, () => replace({ String: 'a' }, 'aa')))],
    ['writing books for letters', { normalizer: replace({ Regex: 'a' }, 'b'.repeat(100_000)) }],
    ['writing books at the beginning', { normalizer: { type: 'Prepend', prepend: 'b'.repeat(9_000_000) } }],
    ['replacing nothing', { normalizer: replace({ String: '' }, 'b') }],
    [
      'spelling bytes of bytes',
      normalizers(...times(30, () => ({ type: 'ByteLevel' })), { type: 'Prepend', prepend: 'é' }),
    ],
    [
      'splitting bytes of bytes',
      words(
        ...times(30, () => ({
          type: 'ByteLevel',
          add_prefix_space: true,
          trim_offsets: true,
          use_regex: true,
        })),
      ),
    ],
    ['of many steps', normalizers(...times(1000, () => ({ type: 'NFC' })))],
    [
      'decoding to books',
      { decoder: { type: 'Sequence', decoders: times(9, () => replace({ String: 'a' }, 'aaaa')) } },
    ],
    ['stripping what is not there', { decoder: { type: 'Strip', content: 'a', start: 1, stop: 5 } }],
    ['of pieces of no length', { pre_tokenizer: { type: 'FixedLength', length: 0 } }],
    ['with a map of no characters', { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } }],
    ['with a map of other letters', { normalizer: { type: 'Precompiled', precompiled_charsmap: '~~~~' } }],
    ['with a map that leads outside', map([0x7fffffff])],
    ['with a map whose leaf is outside', map(leaf(2 ** 31 + 99))],
    ['with a map to books', map(leaf(2 ** 31), `${'b'.repeat(100_000)}\0`)],
    ['with a long piece', { model: { type: 'Unigram', unk_id: 0, vocab: [['a'.repeat(200_000), 0]] } }],
    ['with a long added token', { added_tokens: [token(9, 'a'.repeat(200_000))] }],
    ['with an unknown piece', { model: { type: 'Unigram', unk_id: 9, vocab: [['a', 0]] } }],
    [
      'with words without an end',
      { model: { type: 'WordPiece', vocab: { a: 0, b: 1 }, unk_token: 'b', max_input_chars_per_word: 1e9 } },
    ],
    ['nested deep', { normalizer: JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`) }],
  ])('%s is refused by name', (_, parts) => {
    expect(() => use(parts)).toThrow(InvalidArgument);
    expect(() => use(parts)).toThrow(/^tokenizer\.json: expected|^tokenizer\.json: [\w.[\]]+/);
  });

  it('of 300,000 names is read in one pass', () => {
    const names = times(300_000, (i) => `t${i}`);
    const vocab = Object.fromEntries(names.map((name, i) => [name, i]));
    const added = names.map((name, i) => token(i, name));
    use({ model: { ...model, vocab: { ...vocab, b: 300_000 }, merges: [] }, added_tokens: added });
  });
});

describe('weights and adapters', () => {
  const config = {
    model_type: 'llama',
    ...{ vocab_size: 8, hidden_size: 4, intermediate_size: 4, num_hidden_layers: 10_000 },
    ...{ num_attention_heads: 1, num_key_value_heads: 1, max_position_embeddings: 8, eos_token_id: 1 },
    ...{ rms_norm_eps: 1e-5, tie_word_embeddings: true, hidden_act: 'silu' },
  };
  const write = (name: string, json: unknown) => writeFileSync(join(folder, name), JSON.stringify(json));
  const weights = (name: string, names: readonly string[]) => {
    const entry = (i: number) => ({ dtype: 'F32', shape: [1], data_offsets: [4 * i, 4 * i + 4] });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(names.map((one, i) => [one, entry(i)]))));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(join(folder, name), Buffer.concat([length, header, Buffer.alloc(4 * names.length)]));
  };
  const many = times(300_000, (i) => `model.layers.${i}.x.weight`);

  it('of 10,000 blocks and 300,000 names are refused in one pass, with a text of bounded length', async () => {
    write('config.json', config);
    for (const names of [many, []]) {
      weights('model.safetensors', names);
      const error = await loadModel(folder).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(InvalidArgument);
      expect(error.message.length).toBeLessThan(50_000);
    }
  });

  it.each<[string, object]>([
    ['target_modules', { target_modules: many }],
    ['target_modules', { target_modules: '([a-z_.0-9]+)+=' }],
    ['target_modules', { target_modules: '(?:.*.*)+=|x' }],
    ['exclude_modules', { exclude_modules: '([a-z_.0-9]+)+=' }],
    ['exclude_modules', { exclude_modules: 'a'.repeat(1_000_000) }],
    ['modules_to_save', { modules_to_save: many }],
    ['modules_to_save', { modules_to_save: ['([a-z_.0-9]+)+='] }],
    ['rank_pattern', { rank_pattern: Object.fromEntries(many.map((name) => [name, 1])) }],
    ['rank_pattern', { rank_pattern: { '([a-z_.0-9]+)+=': 1 } }],
    ['alpha_pattern', { alpha_pattern: { '(?:[a-z.]+|[a-z_.0-9])+=': 1 } }],
    ['layers_pattern', { layers_pattern: '([a-z]+)+=' }],
    ['layers_to_transform', { layers_to_transform: times(300_000, (i) => i) }],
    ['base_model.model.x', { exclude_modules: many }],
  ])('of a PEFT adapter are refused by name: %s', async (field, given) => {
    write('adapter_config.json', { peft_type: 'LORA', r: 1, target_modules: ['q_proj'], ...given });
    weights('adapter_model.safetensors', ['base_model.model.x']);
    const error = await loadAdapter(folder, parseConfig(config)).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.message).toContain(field);
    expect(error.message.length).toBeLessThan(50_000);
  });
});

describe('a platform', () => {
  it('answers while hostile folders are imported, and refuses each by name', async () => {
    const dataDir = join(folder, 'data');
    const platform = await serve(dataDir);
    try {
      const ask = (...args: string[]) => emotune(['--data-dir', dataDir, ...args], { cwd: folder });
      const imports = slow.slice(0, 4).map(async (Regex, i) => {
        const path = join(folder, `model-${i}`);
        cpSync(baseModel, path, { recursive: true });
        const file = join(path, 'tokenizer.json');
        const json = JSON.parse(readFileSync(file, 'utf8'));
        const pattern = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
        json.pre_tokenizer = { type: 'Sequence', pretokenizers: [pattern, json.pre_tokenizer] };
        writeFileSync(file, JSON.stringify(json));
        return ask('model', 'import', path, '--name', `hostile-${i}`);
      });
      expect(await ask('analyze', 'I am glad', '--model', 'emotune-opt-4m')).toMatchObject({ code: 0 });
      for (const { code, stderr } of await Promise.all(imports)) {
        expect(code).toBe(2);
        expect(stderr).toContain(
          'tokenizer.json: pre_tokenizer: Split: pattern: expected a regular expression',
        );
      }
      const { stdout } = await ask('--json', 'model', 'list');
      expect(stdout).not.toContain('"hostile-');
    } finally {
      await platform.end('SIGTERM');
    }
  });
});
