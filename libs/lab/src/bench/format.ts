/** Benchmarks for people: the workload, then each figure beside the limit it is held against. */

import { count, facts, figure, nothing, percent, table } from '@emotune/cli/format';
import type { BusFigures } from './bus.js';
import type { ControllerFigures } from './controller.js';
import type { DedupFigures } from './dedup.js';
import { type FuzzFigures, rssLimit } from './fuzz.js';
import type { GenerateFigures } from './generate.js';
import type { GeneratedFigures } from './generated-search.js';
import type { JobsFigures } from './jobs.js';
import type { LexiconFigures } from './lexicon.js';
import type { NodeKind } from './profile.js';
import type { PruneFigures } from './prune.js';
import type { RanksFigures } from './ranks.js';
import type { ScoreFigures } from './score.js';
import type { SearchFigures } from './search.js';
import type { ServeFigures } from './serve.js';
import { lora, type StepFigures, uncountedSteps } from './step.js';

const sections = (...parts: readonly string[]) => parts.join('\n\n');

/** One figure beside its limit. */
function held(what: string, value: number, limit: number, meaning: string): string[] {
  return [what, figure(value), figure(limit), ratio(value, limit), meaning];
}

const ratio = (value: number, limit: number) => figure(Number((value / limit).toPrecision(3)));
const alone = (what: string, value: number) => [what, figure(value), nothing, nothing, ''];
const heldHead = ['figure', 'value', 'limit', 'ratio', 'the limit is'];

export function stepText(f: StepFigures): string {
  const method = f.method === 'full' ? 'full' : `lora, rank ${lora.rank} on every linear layer`;
  return sections(
    facts([
      ['model', `${f.model}, ${count(f.parameters)} weights`],
      ['method', method],
      [
        'batch',
        f.rows
          ? `${f.batch * f.sequence} tokens, packed from ${count(f.rows.count)} rows of ${figure(f.rows.meanTokens)} tokens`
          : `${f.batch} rows of ${f.sequence} tokens, ${f.answers} of each labelled`,
      ],
      ['device', f.device],
      ['threads', String(f.threads)],
      ['recompute', f.recompute],
      ['base', f.baseCompute],
      ['steps', `${f.steps}, after ${uncountedSteps} that are not counted; the median counts`],
    ]),
    table(heldHead, [
      held('GFLOP/s', f.gflops, f.gemmGflops, "ONNX Runtime's own rate of the model's matrix products"),
      alone('tokens/s', f.tokensPerSecond),
      alone('peak memory, MiB', f.peakMemoryMiB),
      ...(f.savedMemoryMiB === undefined || f.recomputeTime === undefined
        ? []
        : [
            alone('saved by recomputing, MiB', f.savedMemoryMiB),
            alone('time that it adds, ratio', Number(f.recomputeTime.toPrecision(3))),
          ]),
    ]),
    ...(f.profile ? [profileText(f.profile)] : []),
  );
}

/** Kinds of node that take so much of the time, at least. */
const shownShare = 0.005;

function profileText(kinds: readonly NodeKind[]): string {
  const all = kinds.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return table(
    ['kind of node', 'nodes', 'ms a batch', 'share'],
    kinds
      .filter(({ milliseconds }) => milliseconds >= shownShare * all)
      .map(({ op, nodes, milliseconds }) => [
        op,
        count(nodes),
        figure(milliseconds),
        percent(milliseconds / all),
      ]),
  );
}

export function generateText(f: GenerateFigures): string {
  return sections(
    facts([
      ['model', `${f.model}, ${count(f.parameters)} weights`],
      ['batch', `${f.batch} prompts of ${f.prompt} tokens, ${f.tokens} written after each, greedily`],
      ['base', f.baseCompute],
      ['threads', String(f.threads)],
    ]),
    table(heldHead, [
      held(
        'examples/s',
        f.examplesPerSecond,
        f.productExamplesPerSecond,
        "products with the model's weights alone",
      ),
      alone('tokens/s', f.tokensPerSecond),
    ]),
  );
}

export function scoreText(f: ScoreFigures): string {
  return sections(
    facts([
      ['model', f.model],
      ['questions', `${f.questions} of each task, asked together`],
      ['base', f.baseCompute],
      ['threads', String(f.threads)],
      ['limit', 'one forward pass over the prompt of each question, as many together'],
    ]),
    table(
      ['task', 'answers', 'prompt tokens', 'questions/s', 'limit', 'ratio'],
      [{ ...f.labels, task: 'random prompts', candidates: f.labels.labels }, ...f.tasks].map((task) => [
        task.task,
        count(task.candidates),
        figure(task.promptTokens),
        figure(task.questionsPerSecond),
        figure(task.passesPerSecond),
        ratio(task.questionsPerSecond, task.passesPerSecond),
      ]),
    ),
  );
}

export function serveText(f: ServeFigures): string {
  const milliseconds = (value: number) => figure(Math.round(value));
  return sections(
    facts([
      ['model', f.model],
      ['base', f.baseCompute],
      ['threads', String(f.threads)],
      [
        'load',
        `each caller asks, waits, asks again; ${f.seconds} s, after half as many that are not counted`,
      ],
      ['limit', `batches of ${f.batch} texts, median of three before each load`],
      ['other server', f.peer ?? 'none: --peer takes the address of test/peers/serve_pipelines.py'],
    ]),
    table(
      [
        ...[
          'callers',
          'questions',
          'texts/s',
          'limit',
          'ratio',
          'p50 ms',
          'p95 ms',
          'p99 ms',
          'MiB',
          'held ms',
        ],
        ...(f.peer ? ['other texts/s', 'ratio', 'p50 ms', 'p95 ms', 'p99 ms', 'MiB'] : []),
        'refused',
      ],
      f.loads.map((load) => [
        count(load.callers),
        count(load.questions),
        figure(load.perSecond),
        figure(load.batchPerSecond),
        ratio(load.perSecond, load.batchPerSecond),
        ...[load.p50Ms, load.p95Ms, load.p99Ms, load.memoryMiB, load.heldMs].map(milliseconds),
        ...(load.peer
          ? [
              figure(load.peer.perSecond),
              ratio(load.perSecond, load.peer.perSecond),
              ...[load.peer.p50Ms, load.peer.p95Ms, load.peer.p99Ms, load.peer.memoryMiB].map(milliseconds),
            ]
          : []),
        count(load.refused),
      ]),
    ),
  );
}

export function lexiconText(f: LexiconFigures): string {
  return sections(
    facts([
      ['texts', `${count(f.texts)}, ${count(f.bytes)} bytes in all`],
      ['lexicons', f.lexicons.join(', ')],
      ['cues', `${count(f.cues)} found`],
    ]),
    table(heldHead, [
      held('texts/s, VADER', f.vaderPerSecond, f.peerPerSecond, 'vaderSentiment 3.3.2'),
      held('texts/s, all', f.allPerSecond, f.peerPerSecond, 'vaderSentiment 3.3.2'),
      held(
        'MB/s, all',
        f.megabytesPerSecond,
        f.wordsMegabytesPerSecond,
        'finding the words of the same texts',
      ),
    ]),
  );
}

/** Seconds for a million rows, and MiB, that finding duplicates is held to. */
const dedupLimits = { seconds: 60, memoryMiB: 1536 };

export function dedupText(f: DedupFigures): string {
  const found = ({ rows, dropped }: DedupFigures['near']) =>
    `${count(dropped)} of ${count(rows)} that were planted`;
  return sections(
    facts([
      ['rows', `${count(f.rows)} generated ones, made anew in each pass`],
      ['copies dropped', found(f.copies)],
      [`near-duplicates dropped, from ${f.nearDuplicates} on`, found(f.near)],
      ['other rows dropped', count(f.wronglyDropped)],
    ]),
    table(heldHead, [
      held('seconds', f.seconds, (dedupLimits.seconds * f.rows) / 1e6, 'a minute for a million rows'),
      held('peak memory, MiB', f.peakMemoryMiB, dedupLimits.memoryMiB, '1.5 GiB'),
      alone('processor seconds', f.cpuSeconds),
      alone('rows/s', f.rowsPerSecond),
    ]),
  );
}

export function searchText(f: SearchFigures): string {
  return sections(
    facts([
      ['suggestions', 'a mixed space of 7 parameters'],
      [
        'searches',
        `${f.trials} trials, ${f.parallel} at a time; medians of the regret over ${f.seeds} seeds`,
      ],
    ]),
    table(
      ['algorithm', 'trials known', 'ms a suggestion'],
      f.suggestions.map((s) => [s.algorithm, count(s.trials), figure(s.millisecondsPerSuggestion)]),
    ),
    table(
      [
        'function',
        'algorithm',
        'after 1/4',
        'after 1/2',
        'after all',
        'upper quartile',
        'limit (best Optuna)',
        'ratio',
        'failed late',
        'wrong categories',
      ],
      f.optima.map((o) => [
        o.function,
        o.algorithm,
        ...[o.regretAtQuarter, o.regretAtHalf, o.regret, o.regretUpperQuartile].map(figure),
        figure(o.optuna),
        o.optuna === undefined ? nothing : ratio(o.regret, o.optuna),
        o.failed === undefined ? nothing : percent(o.failed),
        Object.entries(o.wrong)
          .map(([name, seeds]) => `${name} ${seeds}`)
          .join(', '),
      ]),
    ),
  );
}

export function generatedText(f: GeneratedFigures): string {
  return sections(
    facts([
      ['problems', `${count(f.generated)} random ones, seeds ${f.seed} to ${f.seed + f.generated - 1}`],
      ['searches', `${f.trials} trials, ${f.parallel} at a time, ${f.seeds} on each problem`],
      ['regret', 'median over the searches, at least a millionth of the median of random values'],
      ['limit', f.peer ?? 'none: --peer reads what test/peers/optuna_search.py wrote'],
    ]),
    f.comparisons.length > 0
      ? table(
          ['algorithm', 'against', 'trials', 'problems', 'won', 'drawn', 'ratio', 'worst', 'on problem'],
          f.comparisons.map((c) => [
            c.algorithm,
            c.rival,
            count(c.trials),
            count(c.problems),
            percent(c.won),
            percent(c.drawn),
            figure(Number(c.ratio.toPrecision(3))),
            figure(Number(c.worstRatio.toPrecision(3))),
            String(c.worstProblem),
          ]),
        )
      : table(
          ['problem', 'algorithm', 'trials', 'regret'],
          f.problems.map((p) => [String(p.problem), p.algorithm, count(p.trials), figure(p.regret)]),
        ),
  );
}

export function pruneText(f: PruneFigures): string {
  const whole = `${f.trials} trials of ${f.stepsPerTrial} steps`;
  return sections(
    facts([
      ['searches', f.equalBudget ? `as many steps as ${whole}` : `${whole}, where none is stopped`],
      ['figures', `medians over ${f.seeds} seeds`],
      ['limit', `the default loses at most ${percent(f.limit)} of the regret of whole trials`],
    ]),
    table(
      ['curves', 'algorithm', 'pruner', 'regret', 'lost', '±', 'budget', 'trials'],
      f.rows.map((row) => [
        row.curves,
        row.algorithm,
        row.pruner,
        figure(row.regret),
        percent(row.lost),
        percent(row.error),
        percent(row.budget),
        figure(row.trials),
      ]),
    ),
  );
}

export function controllerText(f: ControllerFigures): string {
  return sections(
    facts([
      [
        'trials',
        `${count(f.trials)} at the same time, of ${figure(f.trialSeconds)} s; trainers that compute nothing`,
      ],
      ['path', 'trainers over gRPC, service, embedded PostgreSQL, durable'],
      ['measured', `${figure(f.seconds)} s with all of them running, ${count(f.launches)} launches`],
      ['latency', 'from the end of a trial to the start of the next in its place'],
    ]),
    table(heldHead, [
      held('cores of the service', f.cores, 1, 'one core'),
      ...(f.databaseCores === undefined ? [] : [alone('cores of PostgreSQL', f.databaseCores)]),
      held('p95 launch, ms', f.launchP95Ms, 1000, 'one second'),
      alone('p50 launch, ms', f.launchP50Ms),
      alone('until all run, s', f.rampSeconds),
      alone('reports/s', f.reportsPerSecond),
    ]),
  );
}

/** What the service's process may take of memory. */
const jobsMemoryMiB = 512;

export function jobsText(f: JobsFigures): string {
  const { ramp, bare, launchP50Ms, launchP95Ms } = f;
  const same = 'the same objects, created by requests alone';
  return sections(
    facts([
      [
        'trials',
        `${count(f.trials)} at the same time, of ${figure(f.trialSeconds)} s; trainers that compute nothing`,
      ],
      [
        'path',
        'trainers over gRPC, the service in a process of its own, durable PostgreSQL, Kubernetes with fake nodes',
      ],
      ['measured', `${figure(f.seconds)} s with all of them running, ${count(f.launches)} launches`],
      ['accounted', `${count(f.accounted)} of ${count(f.started)} trials have ended once; no Job is left`],
      ['launch', 'from the acceptance of the experiment; in a free place from the end of the trial before'],
    ]),
    table(heldHead, [
      held('p50 until created, s', ramp.createdP50, bare.createdP50, same),
      held('p95 until created, s', ramp.createdP95, bare.createdP95, same),
      held('p95 until running, s', ramp.runningP95, bare.runningP95, same),
      held('until all run, s', ramp.allRunning, bare.allRunning, same),
      ...(launchP95Ms === undefined || launchP50Ms === undefined
        ? []
        : [alone('p50 launch in a free place, ms', launchP50Ms), alone('p95 of them, ms', launchP95Ms)]),
      alone('API calls a trial until it runs', f.callsToRun),
      alone('API calls a trial in all', f.callsInAll),
      alone('API calls/s while all run', f.callsPerSecond),
      held('peak memory of the service, MiB', f.peakRssMiB, jobsMemoryMiB, 'what the chart may give it'),
      alone('its memory while all run, MiB', f.rssMiB),
      alone('of it JavaScript, MiB', f.heapMiB),
    ]),
    ...(f.troubles.length === 0 ? [] : [facts(f.troubles.map((trouble) => ['trouble', trouble]))]),
  );
}

export function fuzzText(f: FuzzFigures): string {
  const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  const defects = f.defects.length;
  return sections(
    facts([
      ['requests', `${count(f.requests)} to ${f.methods} methods, seed ${f.seed}, in ${figure(f.seconds)} s`],
      [
        'path',
        'gRPC, every service in one process that asks for a token, embedded PostgreSQL; trainers are played',
      ],
    ]),
    table(
      ['answer', 'requests'],
      Object.entries(f.statuses)
        .sort(([, a], [, b]) => b - a)
        .map(([name, answers]) => [name, count(answers)]),
    ),
    table(heldHead, [
      ['UNKNOWN, INTERNAL', count(defects), '0', nothing, 'none'],
      held(
        'memory that stayed, MiB',
        Math.max(0, mebibytes(f.rssEnd - f.rssStart)),
        mebibytes(rssLimit),
        `of ${mebibytes(f.rssStart)} once each method was asked`,
      ),
      alone('p99 of the loop, ms', f.holds.p99Ms),
      alone('longest hold of the loop, ms', f.holds.longestMs),
    ]),
    ...f.defects.map(
      ({ number, method, status, what, request }) => `${number}: ${status}: ${method} (${what}): ${request}`,
    ),
    ...Object.entries(f.logged).map(([line, times]) => `logged ${count(times)} times: ${line}`),
  );
}

export function busText(f: BusFigures): string {
  const { broker } = f;
  return sections(
    facts([
      ['events', `${count(f.events)}, each in a transaction of its own, under ${f.keys} keys`],
      ['path', `outbox, bus ${broker ? 'on Kafka' : 'in memory'}, inbox; embedded PostgreSQL, durable`],
      ['rate', `${f.writers} writers at the same time`],
      ['latency', 'one event at a time, from the start of its transaction to its effect'],
    ]),
    table(heldHead, [
      held('events/s', f.eventsPerSecond, f.roundTripsPerSecond, '"select 1" round trips/s'),
      held('p50 latency, ms', f.p50Ms, f.roundTripP50Ms, 'one round trip'),
      held('p99 latency, ms', f.p99Ms, f.roundTripP99Ms, 'one round trip'),
    ]),
    ...(broker
      ? [
          `the bus alone: ${count(broker.events)} events of ${broker.payloadBytes} bytes, without a database`,
          table(heldHead, [
            held('events/s', broker.ours.eventsPerSecond, broker.kafkajs.eventsPerSecond, 'kafkajs alone'),
            held('p50 latency, ms', broker.ours.p50Ms, broker.kafkajs.p50Ms, 'kafkajs alone'),
            held('p99 latency, ms', broker.ours.p99Ms, broker.kafkajs.p99Ms, 'kafkajs alone'),
          ]),
        ]
      : []),
  );
}

export function ranksText(f: RanksFigures): string {
  return sections(
    facts([
      ['model', f.model],
      ['method', f.method],
      ['step', `${f.microBatches} micro-batches of ${f.batch} rows of ${f.sequence} tokens`],
      ['threads', `${f.threads} of each process`],
      ['gradient', `${count(f.gradientBytes)} bytes`],
      ['steps', `${f.steps}; the median counts`],
    ]),
    table(
      ['processes', 'tokens/s', 'efficiency'],
      f.runs.map(({ ranks, tokensPerSecond, efficiency }) => [
        String(ranks),
        figure(tokensPerSecond),
        percent(efficiency),
      ]),
    ),
  );
}
