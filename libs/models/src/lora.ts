/** Low-rank adaptation (Hu et al. 2022): W + s·B·A with A [r, in], B [out, r]; names, patterns and defaults as PEFT has them. */
import { InvalidArgument, nearest, Rng, type Violation, Violations } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { Pattern, Steps } from '@emotune/text';
import { z } from 'zod';
import type { ModelConfig } from './config.js';
import { dora } from './lora-dora.js';
import type { LoraForm } from './lora-form.js';
import { plainLora } from './lora-plain.js';
import { modelParameters, type Parameter } from './parameters.js';

const names = z.array(z.string().min(1)).readonly();
const rank = z.number().int().min(1).max(65_536);
const patterns = <T extends z.ZodType>(value: T) => z.record(z.string().min(1), value).readonly();

/** `shared`: a checkpoint made with one value does not fit another. `usual`: what counts where nothing is said. */
export const loraSettings = z.strictObject({
  rank,
  alpha: z.number().positive(),
  targets: z
    .union([z.string().min(1), names])
    .optional()
    .meta({
      description:
        'the linear layers to adapt: ends of their paths (`q_proj`, `mlp.down_proj`), or `all-linear` (all but the head), or a regular expression for the whole path',
      usual: 'those of the blocks',
      shared: true,
    }),
  exclude: z
    .union([z.string().min(1), names])
    .optional()
    .meta({ description: 'layers that are left out, written as in `lora.targets`', shared: true }),
  layersToTransform: z.array(z.number().int().min(0)).readonly().optional().meta({
    description: 'numbers of the blocks to adapt, from 0 at the bottom',
    usual: 'all',
    shared: true,
  }),
  rankPattern: patterns(rank).optional().meta({
    description: 'other ranks, by a regular expression for the end of a path; the first that matches counts',
    shared: true,
  }),
  alphaPattern: patterns(z.number().positive())
    .optional()
    .meta({ description: 'other alphas, likewise', shared: true }),
  rankStabilised: z
    .boolean()
    .optional()
    .meta({ description: 's = α/√r (Kalajdzievski 2023) instead of α/r', usual: 'false', shared: true }),
  dora: z.boolean().optional().meta({
    description:
      'DoRA (Liu et al. 2024): the direction of each row of W is adapted by A and B, its length by a weight of its own',
    usual: 'false',
    shared: true,
  }),
  bias: z.enum(['none', 'all', 'lora_only']).optional().meta({
    description: 'biases that are trained too: of every layer and norm, or of the adapted layers only',
    usual: '`none`',
    shared: true,
  }),
  modulesToSave: names.optional().meta({
    description:
      'modules that are trained and stored whole, by the ends of their paths (`lm_head`, `embed_tokens`, `norm`)',
    shared: true,
  }),
  ensureWeightTying: z.boolean().optional().meta({
    description:
      'a tied head follows the trained token table, where it otherwise becomes a weight of its own',
    usual: 'false',
    shared: true,
  }),
  loraPlusRatio: z
    .number()
    .positive()
    .optional()
    .meta({ description: 'λ of LoRA+ (Hayou et al. 2024): how many times faster B learns', usual: '1' }),
});

export type Lora = z.output<typeof loraSettings>;

export interface LoraModule {
  /** Path without `.weight`. */
  readonly module: string;
  readonly into: number;
  readonly out: number;
  readonly rank: number;
  /** s of W + s·B·A. */
  readonly scaling: number;
}

/** The forms of low-rank adaptation: the next one is a file beside `lora-dora.ts` and a setting. */
export function loraForm(lora: Lora): LoraForm {
  return lora.dora ? dora : plainLora;
}

const embeddings = {
  llama: 'model.embed_tokens',
  opt: 'model.decoder.embed_tokens',
  bloom: 'transformer.word_embeddings',
} as const;

/** Path of the token table. */
export function embeddingModule(config: ModelConfig): string {
  return embeddings[config.family];
}

const blockPath = /\.(?:layers|h)\.(\d+)\./;
const embeddingPath = /\.(embed_tokens|embed_positions|word_embeddings)$/;

/** Number of the block that a path lies in; undefined outside of the blocks. */
export function blockOf(path: string): number | undefined {
  const match = blockPath.exec(path);
  return match ? Number(match[1]) : undefined;
}

/** `a.b.c.weight` → a, a.b, a.b.c: the modules that hold a parameter. */
function modulesOf(parameter: string): string[] {
  const modules: string[] = [];
  for (let dot = parameter.indexOf('.'); dot >= 0; dot = parameter.indexOf('.', dot + 1))
    modules.push(parameter.slice(0, dot));
  return modules;
}

type Matches = (module: string) => boolean;

/** What patterns of adapters, which others wrote, are tried on: each on every path, within steps that they share. */
class Trials {
  private readonly steps: Steps;
  private tests = 0;

  constructor(private readonly config: ModelConfig) {
    this.steps = Steps.of(stepLengthAtFirst + stepLengthPerBlock * config.layers);
  }

  /** @throws InvalidArgument where there are more names or patterns than could be tried. */
  count(field: string, names: number): void {
    this.tests += names * this.config.layers;
    if (this.tests > mostTests)
      throw InvalidArgument.at(
        field,
        `expected fewer names and patterns for a model of ${this.config.layers} blocks, got ${names}`,
      );
  }

  /** A regular expression with PEFT's anchors around it. @throws InvalidArgument */
  matches(source: string, field: string, anchored: (source: string) => string): Matches {
    const pattern = Pattern.parse(source, field, anchored);
    return (module) => pattern.test(module, this.steps);
  }
}

/** Characters of paths that may be gone through: 5 million steps, and 5,000 a block. */
const stepLengthAtFirst = 20_000;
const stepLengthPerBlock = 20;
const mostTests = 10_000_000;

const whole = (source: string) => `\\A(?:${source})\\z`;
const atEnd = (source: string) => `\\A(.*\\.)?(${source})\\z`;
const within = (source: string) => `\\A(|.*\\.)${source}(\\z|\\..*)`;

/** At the end of a path: a pattern that is a path itself, whose dots match anything, or any other. */
function endMatcher(source: string, field: string, trials: Trials): Matches {
  if (!/^[\w.]+$/.test(source)) return trials.matches(source, field, atEnd);
  return (module) => {
    const start = module.length - source.length;
    if (start < 0 || (start > 0 && module[start - 1] !== '.')) return false;
    for (let i = 0; i < source.length; i++)
      if (source[i] !== '.' && source[i] !== module[start + i]) return false;
    return true;
  };
}

/** Anywhere in a path, with what lies within it. */
function withinMatcher(source: string, field: string, trials: Trials): Matches {
  if (!/^\w+$/.test(source)) return trials.matches(source, field, within);
  return (module) => `.${module}.`.includes(`.${source}.`);
}

/** `a.b.c` → a.b.c, b.c, c. */
function endsOf(module: string): string[] {
  const ends = [module];
  for (let dot = module.indexOf('.'); dot >= 0; dot = module.indexOf('.', dot + 1))
    ends.push(module.slice(dot + 1));
  return ends;
}

function endsWithOne(names: readonly string[]): Matches {
  const known = new Set(names);
  return (module) => endsOf(module).some((end) => known.has(end));
}

/** Does the path of a module answer to `targets` or `exclude`? */
function chosen(choice: string | readonly string[], field: string, trials: Trials): Matches {
  if (choice === 'all-linear') return (module) => module !== 'lm_head' && !embeddingPath.test(module);
  return typeof choice === 'string' ? trials.matches(choice, field, whole) : endsWithOne(choice);
}

interface Linear {
  readonly module: string;
  readonly into: number;
  readonly out: number;
}

/** Every linear layer, also a tied head. */
function linears(config: ModelConfig): Linear[] {
  const all = modelParameters(config)
    .filter(({ name, shape }) => shape.length === 2 && name.endsWith('.weight'))
    .map(({ name, shape }) => ({ module: name.slice(0, -'.weight'.length), out: shape[0], into: shape[1] }));
  const table = all.find(({ module }) => module === embeddingModule(config))!;
  return [
    ...all.filter(({ module }) => !embeddingPath.test(module)),
    ...(config.tieEmbeddings ? [{ ...table, module: 'lm_head' }] : []),
  ];
}

function tables(config: ModelConfig): string[] {
  return modelParameters(config)
    .map(({ name }) => name.replace(/\.weight$/, ''))
    .filter((module) => embeddingPath.test(module));
}

const lastPart = (module: string) => module.slice(module.lastIndexOf('.') + 1);

/** Last parts of the paths of the layers that are adapted by default. */
export function blockLinearNames(config: ModelConfig): string[] {
  return [
    ...new Set(linears(config).flatMap(({ module }) => (blockPath.test(module) ? [lastPart(module)] : []))),
  ];
}

const mostTold = 20;

function unknownNames(
  field: string,
  given: readonly string[],
  knownOnes: () => readonly string[],
  what: string,
): Violation[] {
  if (given.length === 0) return [];
  const known = knownOnes();
  const expected = `expected ${what} (${known.join(', ')})`;
  const told = given.slice(0, mostTold).map((name) => {
    const near = nearest(name, known);
    return { field, description: `${expected}, got "${name}"${near ? `, did you mean "${near}"?` : ''}` };
  });
  const left = given.length - told.length;
  return left > 0 ? [...told, { field, description: `${expected}, got ${left} others` }] : told;
}

/** What of the settings names nothing in a model, by field. PEFT passes over it; a training run refuses it. */
interface Unmatched {
  readonly targets: readonly string[];
  readonly modulesToSave: readonly string[];
  readonly rankPattern: readonly string[];
  readonly alphaPattern: readonly string[];
}

export function unmatched(config: ModelConfig, lora: Lora): Unmatched {
  const trials = new Trials(config);
  const { targets = [], modulesToSave = [], rankPattern = {}, alphaPattern = {} } = lora;
  const all = [...linears(config).map(({ module }) => module), ...tables(config)];
  const adapted = select(config, lora, trials).map(({ module }) => module);
  const unused = (patterns: Readonly<Record<string, number>>, field: string) => {
    const sources = Object.keys(patterns);
    trials.count(field, sources.length);
    return sources.filter((source) => !adapted.some(endMatcher(source, field, trials)));
  };
  const absent = new Set(typeof targets === 'string' ? [] : targets);
  for (const module of all) {
    if (absent.size === 0) break;
    for (const end of endsOf(module)) absent.delete(end);
  }
  const held = modulesToSave.length === 0 ? [] : headOf(config).flatMap(({ name }) => modulesOf(name));
  return {
    targets: [...absent],
    modulesToSave: modulesToSave.filter((end) => !held.some((module) => module.endsWith(end))),
    rankPattern: unused(rankPattern, 'rankPattern'),
    alphaPattern: unused(alphaPattern, 'alphaPattern'),
  };
}

/** Every weight, with a weight of its own for the head. */
function headOf(config: ModelConfig): Parameter[] {
  return modelParameters({ ...config, tieEmbeddings: false });
}

/** The layers that the settings choose; PEFT adapts none inside of a module that is trained whole. */
function select(config: ModelConfig, lora: Lora, trials: Trials): Linear[] {
  const { targets = [], exclude = [], modulesToSave = [], layersToTransform } = lora;
  const usual = targets.length === 0;
  const wanted = usual ? (module: string) => blockPath.test(module) : chosen(targets, 'targets', trials);
  const unwanted = chosen(exclude, 'exclude', trials);
  trials.count('modulesToSave', modulesToSave.length);
  const saved = modulesToSave.map((source) => withinMatcher(source, 'modulesToSave', trials));
  const blocks = layersToTransform && new Set(layersToTransform);
  return linears(config).filter(({ module }) => {
    const block = blockOf(module);
    return (
      wanted(module) &&
      !unwanted(module) &&
      !saved.some((matches) => matches(module)) &&
      (blocks === undefined || (block !== undefined && blocks.has(block)))
    );
  });
}

/**
 * The linear layers that are adapted, bottom first, each with its rank and scaling.
 * @throws InvalidArgument naming what the family does not have, and modules that would be adapted and trained whole.
 */
export function loraModules(config: ModelConfig, lora: Lora): LoraModule[] {
  const { targets = [], layersToTransform = [], rankPattern = {}, alphaPattern = {} } = lora;
  const tying = lora.ensureWeightTying === true && !config.tieEmbeddings;
  const trials = new Trials(config);
  const embedding = tables(config).filter(chosen(targets, 'targets', trials));
  const missing = unmatched(config, lora);
  const patterns = (['rankPattern', 'alphaPattern'] as const).flatMap((field) =>
    missing[field].map((source) => ({
      field: `${field}["${source}"]`,
      description: 'expected a regular expression for the end of an adapted path, got one that matches none',
    })),
  );
  const violations = new Violations([
    ...embedding.map((module) => ({
      field: 'targets',
      description: `expected linear layers, got the table ${module}; to train it whole, list it under modules to save`,
    })),
    ...unknownNames(
      'targets',
      missing.targets,
      () => blockLinearNames(config),
      `modules of ${config.family}`,
    ),
    ...unknownNames(
      'modulesToSave',
      missing.modulesToSave,
      () => [...new Set(headOf(config).map(({ name }) => lastPart(modulesOf(name).at(-1)!)))],
      `modules of ${config.family}`,
    ),
    ...layersToTransform
      .filter((block) => !Number.isInteger(block) || block < 0 || block >= config.layers)
      .map((block) => ({
        field: 'layersToTransform',
        description: `expected blocks from 0 to ${config.layers - 1}, got ${block}`,
      })),
    ...(typeof targets === 'string' && layersToTransform.length > 0
      ? [{ field: 'layersToTransform', description: 'expected none beside a regular expression of targets' }]
      : []),
    ...(tying
      ? [{ field: 'ensureWeightTying', description: 'expected false: the head of this model is not tied' }]
      : []),
    ...patterns,
  ]);
  violations.throwIfAny();
  const modules = select(config, lora, trials);
  if (modules.length === 0) throw InvalidArgument.at('targets', 'expected a linear layer to adapt, got none');
  const ranks = patternValue(rankPattern, 'rankPattern', lora.rank, trials);
  const alphas = patternValue(alphaPattern, 'alphaPattern', lora.alpha, trials);
  return modules.map((linear) => {
    const rank = ranks(linear.module);
    const alpha = alphas(linear.module);
    return { ...linear, rank, scaling: lora.rankStabilised ? alpha / Math.sqrt(rank) : alpha / rank };
  });
}

function patternValue(
  patterns: Readonly<Record<string, number>>,
  field: string,
  usual: number,
  trials: Trials,
): (module: string) => number {
  const compiled = Object.entries(patterns).map(([source, value]) => ({
    matches: endMatcher(source, field, trials),
    value,
  }));
  return (module) => compiled.find(({ matches }) => matches(module))?.value ?? usual;
}

/**
 * Weights that are trained whole beside the adapters, bottom first: modules to save, and biases.
 * @throws InvalidArgument naming a layer that would be adapted as well.
 */
export function wholeParameters(config: ModelConfig, lora: Lora): Parameter[] {
  const { modulesToSave = [], bias = 'none', ensureWeightTying = false } = lora;
  const modules = new Set(loraModules(config, lora).map(({ module }) => module));
  const tied = config.tieEmbeddings && ensureWeightTying;
  const saved = (name: string) =>
    modulesToSave.length > 0 && modulesOf(name).some((m) => modulesToSave.some((end) => m.endsWith(end)));
  const table = `${embeddingModule(config)}.weight`;
  const chosenWhole = headOf(config).filter(({ name }) => {
    if (tied && name === 'lm_head.weight') return false;
    if (saved(name) || (tied && name === table && saved('lm_head.weight'))) return true;
    if (!name.endsWith('.bias') || bias === 'none') return false;
    return bias === 'all' || modules.has(name.slice(0, -'.bias'.length));
  });
  const twice = chosenWhole
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.weight') && modules.has(name.slice(0, -'.weight'.length)));
  if (twice.length > 0) {
    throw new InvalidArgument(
      twice.map((name) => ({
        field: 'modulesToSave',
        description: `expected modules without adapted layers, got ${name}, which is adapted too; give a longer path`,
      })),
    );
  }
  return chosenWhole;
}

/** Does a tied head become a weight of its own, because the table or the head is trained alone? */
export function untiesHead(config: ModelConfig, lora: Lora): boolean {
  if (!config.tieEmbeddings) return false;
  if (loraModules(config, lora).some(({ module }) => module === 'lm_head')) return true;
  const ends = new Set(['lm_head.weight', `${embeddingModule(config)}.weight`]);
  return lora.ensureWeightTying !== true && wholeParameters(config, lora).some(({ name }) => ends.has(name));
}

/** A uniform on ±1/√in (Kaiming with a = √5, as PEFT), B zeros: the adapted model starts as the base. */
export function initialLora(config: ModelConfig, lora: Lora, seed: number): Map<string, HostTensor> {
  return new Map(
    loraModules(config, lora).flatMap(({ module, into, out, rank }): [string, HostTensor][] => {
      const rng = Rng.of(seed, 'lora', module);
      const bound = 1 / Math.sqrt(into);
      const a = Float32Array.from({ length: rank * into }, () => bound * (2 * rng.uniform() - 1));
      return [
        [`${module}.lora_A.weight`, float32([rank, into], a)],
        [`${module}.lora_B.weight`, float32([out, rank], new Float32Array(out * rank))],
      ];
    }),
  );
}
