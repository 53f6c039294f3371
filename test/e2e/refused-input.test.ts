/** What cannot be done as asked: one clear message, the documented exit code, and nothing is left half-made. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, emotune, type Served, serve } from './platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-refused-'));
const dataDir = join(folder, 'data');
const baseModel = fileURLToPath(new URL('../../models/emotune-opt-4m', import.meta.url));
let platform: Served;

beforeAll(async () => {
  platform = await serve(dataDir);
});
afterAll(async () => {
  await platform.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

function ask(...args: string[]): Promise<Ended> {
  return emotune(['--data-dir', dataDir, ...args], { cwd: folder });
}

async function listed(noun: string): Promise<unknown[]> {
  return JSON.parse((await ask('--json', noun, 'list')).stdout);
}

/** Nothing on stdout, and on stderr the message alone, without a stack. */
function expectRefusal({ code, stdout, stderr }: Ended, exitCode: number, ...messages: string[]): void {
  for (const message of messages) expect(stderr).toContain(message);
  expect(stderr.match(/^emotune: /gm)).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at |internal error|spec\./m);
  expect([code, stdout]).toEqual([exitCode, '']);
}

describe.concurrent('a dataset file that is', () => {
  const gibibyte = 2 ** 30;
  const cases: [
    what: string,
    file: string,
    make: (path: string) => void,
    exitCode: number,
    message: string,
  ][] = [
    ['missing', 'missing.tsv', () => {}, 3, 'sources[0].file: expected a readable file, got '],
    ['empty', 'empty.tsv', (path) => writeFileSync(path, ''), 2, 'expected rows, got an empty file'],
    ['binary', 'binary.tsv', (path) => writeFileSync(path, Uint8Array.of(1, 0, 2)), 2, 'got a binary file'],
    [
      'wrongly encoded',
      'latin1.tsv',
      (path) => writeFileSync(path, Buffer.from('text\tlabel\ncaf\xe9\t1\n', 'latin1')),
      2,
      'sources[0].file, line 2: expected UTF-8, got the byte 0xE9 after "caf"',
    ],
    [
      'of 100 GiB without content',
      'sparse.jsonl',
      (path) => {
        writeFileSync(path, '');
        truncateSync(path, 100 * gibibyte);
      },
      2,
      'expected at most 64 GiB, got 100.0 GiB',
    ],
    [
      'without a label in a row',
      'unlabelled.tsv',
      (path) => writeFileSync(path, 'text\tlabel\nfine\t3\nbad\t\n'),
      2,
      'sources[0].file, line 3: expected a label in "label", got nothing',
    ],
    [
      'labelled off the scale',
      'off-scale.tsv',
      (path) => writeFileSync(path, 'text\tlabel\nfine\t3\nbad\t7\n'),
      2,
      'sources[0].file, line 3: expected a number on 0..5, got "7"',
    ],
    [
      'not clear about an id',
      'duplicate.tsv',
      (path) => writeFileSync(path, 'id\ttext\tlabel\na\tfine\t3\na\tbad\t2\n'),
      2,
      'sources[0].file, line 3: expected a unique id, got "a" as on line 2',
    ],
  ];

  it.each(cases)('%s', async (_, file, make, exitCode, message) => {
    make(join(folder, file));
    const spec = `${file}.yaml`;
    const source = { path: file, name: 'mine', task: 'sentiment-regression', scale: '0..5' };
    writeFileSync(join(folder, spec), JSON.stringify({ name: 'refused', sources: [{ file: source }] }));
    expectRefusal(await ask('dataset', 'create', '-f', spec), exitCode, message);
  });
});

describe.concurrent('an experiment with', () => {
  const range = (double: object, more: object = {}) => ({ name: 'learningRate', double, ...more });
  const valid = {
    name: 'refused',
    features: 'absent',
    baseModels: [{ architecture: 'opt', model: 'emotune-opt-4m' }],
    parameters: [range({ min: 0.001, max: 0.01, log: true })],
  };
  const replay = (parameter: string) => ({
    name: 'replay',
    categorical: { values: [0.5, 1] },
    condition: { parameter, values: [0.1] },
  });
  const warmup = {
    ...replay('replay'),
    name: 'warmupRatio',
    condition: { parameter: 'replay', values: [0.5] },
  };

  it.each<[string, object, string[]]>([
    [
      'unknown fields',
      { baseModel: 1, parameters: [range({ mim: 1, max: 2 })] },
      [
        'baseModel: unknown field, did you mean "baseModels"?',
        'parameters[0].double.mim: unknown field, did you mean "min"?',
      ],
    ],
    [
      'a range upside down',
      { parameters: [range({ min: 1, max: 0.5 })] },
      ['parameters[0].double.min: expected at most max (0.5), got 1'],
    ],
    [
      'zero on a log scale',
      { parameters: [range({ min: 0, max: 0.5, log: true })] },
      ['parameters[0].double.min: expected a number above 0 on a log scale, got 0'],
    ],
    [
      'conditions in a circle',
      { parameters: [replay('warmupRatio'), warmup] },
      ['parameters[0].condition: expected no cycle, got replay → warmupRatio → replay'],
    ],
    [
      '2,000 parameters',
      {
        parameters: Array.from({ length: 2000 }, (_, i) => ({
          ...range({ min: 0, max: 1 }),
          name: `parameter${i}`,
        })),
      },
      ['parameters: expected at most 1000 parameters, got 2000'],
    ],
    [
      'a base model that nobody has imported',
      { baseModels: [{ architecture: 'opt', model: 'emotune-opt-5m' }] },
      ['did you mean "emotune-opt-4m"?'],
    ],
  ])('%s', async (what, change, messages) => {
    const spec = `${what.replaceAll(' ', '-')}.yaml`;
    writeFileSync(join(folder, spec), JSON.stringify({ ...valid, ...change }));
    expectRefusal(await ask('experiment', 'submit', '-f', spec), 2, ...messages);
  });
});

describe.concurrent('a checkpoint whose', () => {
  function copy(name: string): string {
    const copied = join(folder, name);
    cpSync(baseModel, copied, { recursive: true });
    return copied;
  }

  function edit(file: string, change: (json: Record<string, unknown>) => void): void {
    const json = JSON.parse(readFileSync(file, 'utf8'));
    change(json);
    writeFileSync(file, JSON.stringify(json));
  }

  async function expectNoImport(path: string, ...messages: string[]): Promise<void> {
    expectRefusal(await ask('model', 'import', path, '--name', 'refused'), 2, ...messages);
  }

  type Header = Record<string, { shape: number[]; data_offsets: [number, number] }>;

  /** A safetensors file begins with the length of its header. */
  function headerOf(path: string): { header: Header; data: Buffer } {
    const bytes = readFileSync(join(path, 'model.safetensors'));
    const end = 8 + Number(bytes.readBigUInt64LE(0));
    return { header: JSON.parse(bytes.toString('utf8', 8, end)), data: bytes.subarray(end) };
  }

  it('weights are others than its configuration asks for', async () => {
    const path = copy('weights');
    const { header, data } = headerOf(path);
    const [first, second] = Object.keys(header).filter((name) => name !== '__metadata__');
    const { [first]: one, [second]: two, ...others } = header;
    const text = Buffer.from(JSON.stringify({ ...others, 'surplus.weight': one, 'surplus.bias': two }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(join(path, 'model.safetensors'), Buffer.concat([length, text, data]));
    await expectNoImport(
      path,
      ...[first, second].map((name) => `${name}: expected a tensor of `),
      'surplus.weight: expected no such tensor',
      'surplus.bias: expected no such tensor',
    );
  });

  it('configuration has another layer', async () => {
    const path = copy('layers');
    let layers = 0;
    edit(join(path, 'config.json'), (json) => {
      layers = Number(json['num_hidden_layers']);
      json['num_hidden_layers'] = layers + 1;
    });
    const absent = Object.keys(headerOf(path).header)
      .filter((name) => name.includes(`.${layers - 1}.`))
      .map((name) => `${name.replace(`.${layers - 1}.`, `.${layers}.`)}: expected a tensor of `);
    expect(absent.length).toBeGreaterThan(5);
    await expectNoImport(path, ...absent);
  });

  it('tokenizer has more tokens than its vocabulary', async () => {
    const path = copy('tokenizer');
    edit(join(path, 'tokenizer.json'), ({ model }) => {
      (model as { vocab: Record<string, number> }).vocab['one too many'] = 1_000_000;
    });
    await expectNoImport(path, 'tokenizer.json: expected at most vocab_size');
  });

  it('weights are cut short', async () => {
    const path = copy('cut');
    truncateSync(join(path, 'model.safetensors'), 1_000_000);
    await expectNoImport(path, 'the file is cut short');
  });
});

describe.concurrent('what is not there', () => {
  it.each([
    ['dataset get absent', 'expected a dataset, got "absent"'],
    ['dataset delete absent', 'expected a dataset, got "absent"'],
    ['experiment watch absent', 'expected an experiment, got "absent"'],
    ['model export absent --format peft --out absent', 'expected a model, got "absent"'],
    ['model import absent --name mine', 'expected a checkpoint folder or a GGUF file, got '],
    ['evaluate --model emotune-opt-4m --dataset absent', 'expected a dataset, got "absent"'],
    ['analyze hello --model emotune-opt-5m', 'did you mean "emotune-opt-4m"?'],
  ])('%s: 3', async (line, message) => {
    expectRefusal(await ask(...line.split(' ')), 3, message);
  });

  it('the server: 4', async () => {
    expectRefusal(
      await ask('--server', '127.0.0.1:1', 'dataset', 'list'),
      4,
      '127.0.0.1:1 cannot be reached: is the platform running there?',
    );
  });
});

it('has left nothing', async () => {
  expect(await listed('dataset')).toEqual([]);
  expect(await listed('experiment')).toEqual([]);
  const names = (await listed('model')).map((model) => (model as { name: string }).name);
  expect(names.sort()).toEqual(['emotune-bloom-4m', 'emotune-llama-4m', 'emotune-opt-4m']);
  const objects = join(dataDir, 'objects');
  expect(readdirSync(objects).sort()).toEqual(['.incoming', '.sums', 'models', 'uploads']);
  // Files that were sent are kept for a while, whole and by their content, to be asked about again.
  for (const name of readdirSync(join(objects, 'uploads'))) expect(name).toMatch(/^[0-9a-f]{64}$/);
  expect(readdirSync(join(objects, '.incoming'))).toEqual([]);
  expect(readdirSync(join(objects, 'models')).sort()).toEqual(names);
  expect(readdirSync(folder)).not.toContain('absent');
});
