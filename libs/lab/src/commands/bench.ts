import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { type AddCommands, integerFrom, sessionOf } from '@emotune/cli/command';
import { Option } from 'commander';
import type { GenerateWorkload } from '../bench/generate.js';
import type { GeneratedWorkload } from '../bench/generated-search.js';
import type { PruneWorkload } from '../bench/prune.js';
import type { RanksWorkload } from '../bench/ranks.js';
import type { ScoreWorkload } from '../bench/score.js';
import type { SearchWorkload } from '../bench/search.js';
import type { ServeWorkload } from '../bench/serve.js';
import type { StepWorkload } from '../bench/step.js';
import { addAblationCommand } from './bench-ablation.js';
import { deviceOption } from './options.js';

const examples = `
Examples:
  emotune bench step --method lora --base-compute int8 --batch 4 --sequence 128 --answers 8 --profile
  emotune bench generate --batch 1 --tokens 32
  emotune bench score --threads 1
  emotune bench serve --callers 1 64 --questions 4 --base-compute int8
  emotune bench ablation --threads 1 --runs ablation.jsonl
  emotune bench search --json
  emotune bench search --generated 24 --problems problems.json
  emotune bench search --generated 24 --seeds 3 --peer optuna.json`;

interface ModelOptions {
  readonly model?: string;
  readonly threads: number;
}

interface StepOptions
  extends ModelOptions,
    Pick<StepWorkload, 'method' | 'batch' | 'sequence' | 'steps' | 'recompute' | 'baseCompute'> {
  readonly answers?: number;
  readonly features?: string;
  readonly profile?: boolean;
  readonly device: string;
}

interface GenerateOptions
  extends ModelOptions,
    Pick<GenerateWorkload, 'batch' | 'prompt' | 'tokens' | 'baseCompute'> {}

interface ScoreOptions
  extends ModelOptions,
    Pick<ScoreWorkload, 'questions' | 'prompt' | 'labels' | 'baseCompute'> {}

interface ServeOptions extends ModelOptions, Pick<ServeWorkload, 'seconds' | 'baseCompute'> {
  readonly callers?: readonly number[];
  readonly questions?: readonly number[];
  readonly peer?: string;
}

type SearchOptions = Omit<SearchWorkload, 'signal' | 'seeds' | 'algorithms'> &
  Pick<GeneratedWorkload, 'seed'> & {
    readonly algorithms?: readonly string[];
    readonly seeds?: number;
    readonly generated?: number;
    readonly problems?: string;
    readonly peer?: string;
  };

interface RanksOptions extends Omit<RanksWorkload, 'folder' | 'signal' | 'ranks'> {
  readonly model?: string;
  readonly ranks?: readonly number[];
}

type PruneOptions = Omit<PruneWorkload, 'signal' | 'equalBudget'> & { readonly equalBudget?: boolean };

/** A request was answered as a defect, or memory stayed. */
class FuzzFailed extends Error {}

const wholes = (text: string, before: readonly number[] = []) => [...before, integerFrom(1)(text)];

export const addBenchCommands: AddCommands = (program, io) => {
  const bench = program
    .command('bench')
    .description('benchmarks: each prints its workload, figures and the limit it is held against')
    .addHelpText('after', examples);
  const threads = () =>
    new Option('--threads <n>', 'threads of ONNX Runtime')
      .argParser(integerFrom(1))
      .default(availableParallelism());

  const modelOption = () =>
    new Option(
      '--model <dir>',
      'checkpoint folder, or one with config.json alone: random weights (default: emotune-llama-4m)',
    );

  const inferenceOption = () =>
    new Option('--base-compute <mode>', 'how the linear layers of the blocks are multiplied')
      .choices(['fp32', 'fp16', 'int8'])
      .default('fp32');

  bench
    .command('step')
    .description("training steps, against ONNX Runtime's own rate of the model's matrix products")
    .addOption(modelOption())
    .addOption(new Option('--method <method>', 'what is trained').choices(['full', 'lora']).default('full'))
    .option('--batch <n>', 'rows', integerFrom(1), 16)
    .option('--sequence <n>', 'tokens of a row', integerFrom(2), 64)
    .option('--answers <n>', 'labelled tokens of a row (default: all but the first)', integerFrom(1))
    .option('--steps <n>', 'steps that are counted', integerFrom(1), 20)
    .addOption(
      new Option(
        '--recompute <mode>',
        'what is computed again instead of being kept; also run without, to compare (default: selective, alone)',
      ).choices(['none', 'selective', 'blocks', 'full']),
    )
    .addOption(
      new Option('--base-compute <mode>', "how LoRA's frozen base is multiplied")
        .choices(['fp32', 'fp16', 'int8', 'int8-backward', 'int4'])
        .default('fp32'),
    )
    .option(
      '--features <dir>',
      'train rows of feature shards, packed into batches of so many tokens, instead of random rows',
    )
    .option('--profile', 'show where the time goes by kind of node')
    .addOption(deviceOption())
    .addOption(threads())
    .action(async ({ model, answers, features, profile = false, ...options }: StepOptions, command) => {
      const session = sessionOf(io, command);
      const { shippedModel } = await import('../bench/model-folder.js');
      const { benchStep } = await import('../bench/step.js');
      const { deviceOf } = await import('../device-name.js');
      const { stepText } = await import('../bench/format.js');
      const figures = await benchStep({
        ...options,
        device: deviceOf(options.device),
        folder: model === undefined ? shippedModel : session.path(model),
        answers: answers ?? options.sequence - 1,
        features: features === undefined ? undefined : session.path(features),
        profile,
        signal: session.signal,
      });
      await session.answer(figures, () => stepText(figures));
    });

  bench
    .command('generate')
    .description("greedy continuations, against the products with the model's weights alone")
    .addOption(modelOption())
    .option('--batch <n>', 'prompts', integerFrom(1), 8)
    .option('--prompt <n>', 'tokens of each', integerFrom(1), 64)
    .option('--tokens <n>', 'written after each', integerFrom(1), 16)
    .addOption(inferenceOption())
    .addOption(threads())
    .action(async ({ model, ...options }: GenerateOptions, command) => {
      const session = sessionOf(io, command);
      const { shippedModel } = await import('../bench/model-folder.js');
      const { benchGenerate } = await import('../bench/generate.js');
      const { generateText } = await import('../bench/format.js');
      const folder = model === undefined ? shippedModel : session.path(model);
      const figures = await benchGenerate({ ...options, folder, signal: session.signal });
      await session.answer(figures, () => generateText(figures));
    });

  bench
    .command('score')
    .description('answers by likelihood, against one forward pass over each prompt')
    .addOption(modelOption())
    .option('--questions <n>', 'questions of each task, and random prompts', integerFrom(1), 64)
    .option('--prompt <n>', 'tokens of a random prompt', integerFrom(1), 64)
    .option('--labels <n>', 'labels scored after a random prompt', integerFrom(1), 28)
    .addOption(inferenceOption())
    .addOption(threads())
    .action(async ({ model, ...options }: ScoreOptions, command) => {
      const session = sessionOf(io, command);
      const { shippedModel } = await import('../bench/model-folder.js');
      const { benchScore } = await import('../bench/score.js');
      const { scoreText } = await import('../bench/format.js');
      const folder = model === undefined ? shippedModel : session.path(model);
      const figures = await benchScore({ ...options, folder, signal: session.signal });
      await session.answer(figures, () => scoreText(figures));
    });

  bench
    .command('serve')
    .description('single analyses over gRPC of more and more callers, against batches of the same texts')
    .addOption(modelOption())
    .option(
      '--callers <n...>',
      'that each wait for an answer before they ask again (default: 1 8 64 512)',
      wholes,
    )
    .option('--questions <n...>', 'about each text: 1 or 4 (default: 1 4)', wholes)
    .option('--seconds <s>', 'of each load', integerFrom(1), 5)
    .option('--peer <url>', 'test/peers/serve_pipelines.py, which is asked the same in turn')
    .addOption(inferenceOption())
    .addOption(threads())
    .action(async ({ model, callers, questions, ...options }: ServeOptions, command) => {
      const session = sessionOf(io, command);
      const { shippedModel } = await import('../bench/model-folder.js');
      const { benchServe } = await import('../bench/serve.js');
      const { serveText } = await import('../bench/format.js');
      const folder = model === undefined ? shippedModel : session.path(model);
      const figures = await benchServe({
        ...options,
        callers: callers ?? [1, 8, 64, 512],
        questions: questions ?? [1, 4],
        folder,
        signal: session.signal,
      });
      await session.answer(figures, () => serveText(figures));
    });

  bench
    .command('lexicon')
    .description('lexicon cues, against vaderSentiment and finding the words of the same texts')
    .option('--texts <n>', 'texts', integerFrom(1), 2000)
    .option('--corpora <dir>', 'folder with lexicons as published (default: EMOTUNE_CORPORA)')
    .action(async ({ texts, corpora }: { texts: number; corpora?: string }, command) => {
      const session = sessionOf(io, command);
      const { benchLexicon } = await import('../bench/lexicon.js');
      const { lexiconText } = await import('../bench/format.js');
      const folder = corpora ?? (io.env['EMOTUNE_CORPORA'] || undefined);
      const options = {
        corporaDir: folder && session.path(folder),
        cacheDir: join(session.dataDir, 'corpora'),
        download: false,
      };
      const figures = await benchLexicon(texts, options, session.signal);
      await session.answer(figures, () => lexiconText(figures));
    });

  bench
    .command('dedup')
    .description('duplicates and near-duplicates of generated rows, as the build of a dataset finds them')
    .option('--rows <n>', 'rows', integerFrom(1), 1_000_000)
    .option('--near <similarity>', 'from which on texts are near-duplicates, 0.7 to 1', Number, 0.85)
    .action(async ({ rows, near }: { rows: number; near: number }, command) => {
      const session = sessionOf(io, command);
      if (!(near >= 0.7 && near <= 1))
        throw InvalidArgument.at('--near', `expected a similarity of 0.7 to 1, got ${near}`);
      const { benchDedup } = await import('../bench/dedup.js');
      const { dedupText } = await import('../bench/format.js');
      const figures = await benchDedup(rows, near, session.signal);
      await session.answer(figures, () => dedupText(figures));
    });

  bench
    .command('search')
    .description('suggestions of the search algorithms, and their searches against known optima')
    .option('--trials <n>', 'trials of each search', integerFrom(1), 200)
    .option('--seeds <n>', 'searches for each optimum (default: 50; 10 with --generated)', integerFrom(1))
    .option('--parallel <n>', 'trials suggested at a time', integerFrom(1), 1)
    .option('--algorithms <name...>', 'search algorithms (default: tpe, random; auto, tpe with --generated)')
    .addOption(
      new Option('--functions <name...>', 'functions by the beginning of their names').default([], 'all'),
    )
    .option(
      '--histories <n...>',
      'lengths of histories to time suggestions on',
      (text: string, before: number[]) => [...before, integerFrom(1)(text)],
      [],
    )
    .option('--generated <n>', 'search so many random problems instead of the functions', integerFrom(1))
    .option('--seed <n>', 'of the first random problem; the next has the next', integerFrom(0), 0)
    .option('--problems <file>', 'write the random problems for a peer to read, and search nothing')
    .option('--peer <file>', 'what test/peers/optuna_search.py reached on them, to compare with')
    .action(async ({ generated, seed, seeds, problems, peer, ...options }: SearchOptions, command) => {
      const session = sessionOf(io, command);
      const { generatedText, searchText } = await import('../bench/format.js');
      if (generated === undefined) {
        const { benchSearch } = await import('../bench/search.js');
        const figures = await benchSearch({
          ...options,
          algorithms: options.algorithms ?? ['tpe', 'random'],
          seeds: seeds ?? 50,
          signal: session.signal,
        });
        await session.answer(figures, () => searchText(figures));
        return;
      }
      const { benchGenerated, generatedProblems } = await import('../bench/generated-search.js');
      if (problems !== undefined) {
        const file = session.path(problems);
        await writeFile(file, `${JSON.stringify({ problems: generatedProblems(generated, seed) })}\n`);
        await session.answer({ problems: file }, () => `${generated} problems are in ${problems}`);
        return;
      }
      const figures = await benchGenerated({
        ...options,
        algorithms: options.algorithms ?? ['auto', 'tpe'],
        generated,
        seed,
        seeds: seeds ?? 10,
        peer: peer === undefined ? undefined : await readFile(session.path(peer), 'utf8'),
        signal: session.signal,
      });
      await session.answer(figures, () => generatedText(figures));
    });

  bench
    .command('prune')
    .description('searches that stop trials early, against the same searches with whole trials')
    .option('--trials <n>', 'trials of each search', integerFrom(1), 100)
    .option('--seeds <n>', 'searches with each pruner', integerFrom(1), 10)
    .option('--equal-budget', 'start trials until they have done the steps of as many whole ones')
    .action(async ({ equalBudget = false, ...options }: PruneOptions, command) => {
      const session = sessionOf(io, command);
      const { benchPrune } = await import('../bench/prune.js');
      const { pruneText } = await import('../bench/format.js');
      const figures = await benchPrune({ ...options, equalBudget, signal: session.signal });
      await session.answer(figures, () => pruneText(figures));
    });

  bench
    .command('controller')
    .description('the tuning service with many trials at once, against one core and a second')
    .option('--trials <n>', 'that run at the same time', integerFrom(1), 1000)
    .option('--trial-seconds <s>', 'of a trial', integerFrom(1), 60)
    .option('--seconds <s>', 'that are measured', integerFrom(1), 60)
    .action(async (options: { trials: number; trialSeconds: number; seconds: number }, command) => {
      const session = sessionOf(io, command);
      const { benchController } = await import('../bench/controller.js');
      const { controllerText } = await import('../bench/format.js');
      const figures = await benchController({ ...options, signal: session.signal });
      await session.answer(figures, () => controllerText(figures));
    });

  bench
    .command('ranks')
    .description('training shared by processes, against one of them with as many threads')
    .addOption(modelOption())
    .addOption(new Option('--method <method>', 'what is trained').choices(['full', 'lora']).default('full'))
    .option('--ranks <n...>', 'processes (default: 1 2)', wholes)
    .option('--batch <n>', 'rows of a micro-batch', integerFrom(1), 16)
    .option('--sequence <n>', 'tokens of a row', integerFrom(2), 64)
    .option('--steps <n>', 'steps that are counted', integerFrom(1), 10)
    .option('--threads <n>', 'of each process', integerFrom(1), 1)
    .action(async ({ model, ranks = [1, 2], ...options }: RanksOptions, command) => {
      const session = sessionOf(io, command);
      const { shippedModel } = await import('../bench/model-folder.js');
      const { benchRanks } = await import('../bench/ranks.js');
      const { ranksText } = await import('../bench/format.js');
      const folder = model === undefined ? shippedModel : session.path(model);
      const figures = await benchRanks({ ...options, ranks, folder, signal: session.signal });
      await session.answer(figures, () => ranksText(figures));
    });

  bench
    .command('jobs')
    .description('trials as Jobs of a Kubernetes cluster with fake nodes, against bare creations of the same')
    .option('--trials <n>', 'that run at the same time', integerFrom(1), 1000)
    .option('--trial-seconds <s>', 'of a trial', integerFrom(1), 240)
    .option('--seconds <s>', 'that are measured, once all run', integerFrom(1), 60)
    .action(async (options: { trials: number; trialSeconds: number; seconds: number }, command) => {
      const session = sessionOf(io, command);
      const { benchJobs } = await import('../bench/jobs.js');
      const { jobsText } = await import('../bench/format.js');
      const figures = await benchJobs({ ...options, signal: session.signal });
      await session.answer(figures, () => jobsText(figures));
    });

  bench
    .command('fuzz')
    .description(
      'requests that nobody should send, to every method of a platform: none is answered as a defect',
    )
    .option('--requests <n>', 'requests', integerFrom(1), 50_000)
    .option('--seed <n>', 'the same seed makes the same requests', integerFrom(0), 1)
    .option('--rest <s>', 'seconds without requests before memory is measured', integerFrom(0), 60)
    .action(async (options: { requests: number; seed: number; rest: number }, command) => {
      const session = sessionOf(io, command);
      const { benchFuzz, fuzzHolds } = await import('../bench/fuzz.js');
      const { fuzzText } = await import('../bench/format.js');
      const { requests, seed, rest } = options;
      const figures = await benchFuzz({
        ...{ requests, seed, restSeconds: rest },
        signal: session.signal,
        onProgress: (done) => session.progress.update('sending', done, requests, 'requests'),
      });
      session.progress.end();
      await session.answer(figures, () => fuzzText(figures));
      if (!fuzzHolds(figures)) throw new FuzzFailed('a request was answered as a defect, or memory stayed');
    });

  bench
    .command('bus')
    .description('events between services, against bare round trips to PostgreSQL')
    .option('--events <n>', 'events of each repetition', integerFrom(1), 1000)
    .option(
      '--brokers <url>',
      'kafka://host:port[,host:port], also against kafkajs alone (default: the bus in memory)',
    )
    .action(async ({ events, brokers }: { events: number; brokers?: string }, command) => {
      const session = sessionOf(io, command);
      const { benchBus } = await import('../bench/bus.js');
      const { busText } = await import('../bench/format.js');
      const figures = await benchBus({ events, brokers, signal: session.signal });
      await session.answer(figures, () => busText(figures));
    });

  addAblationCommand(bench, io);
};
