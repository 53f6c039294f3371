/** Runs as lines of JSON: appended one by one, so that an ablation that was interrupted goes on with what is missing. */
import { appendFile, readFile, truncate } from 'node:fs/promises';
import { InvalidArgument, show } from '@emotune/base';
import type { Part, PartAnswers } from './answers.js';

/** All that is the same of the runs of one file. */
export interface Workload {
  /** Name and hash of the base model. */
  readonly model: string;
  /** Hash of the rows. */
  readonly rows: string;
  /** Tokens of one run. */
  readonly tokens: number;
  /** Of each subtask, drawn by the seed. */
  readonly trainRows: number;
  readonly method: 'full' | 'lora';
  readonly learningRate: number;
  readonly batchTokens: number;
}

export interface AblationRun {
  readonly workload: Workload;
  readonly variant: string;
  readonly seed: number;
  /** Seconds of training, and what came of it. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Of the validation rows, nats of an answer. */
  readonly objective: number | null;
  readonly answers: Readonly<Record<Part, PartAnswers>>;
}

/** Reads the runs of a file and appends to it. A last line that was cut short is none. */
export class RunsFile {
  private constructor(
    private readonly path: string,
    readonly runs: AblationRun[],
  ) {}

  /** @throws InvalidArgument where a line is no run, or one of another workload. */
  static async open(path: string, workload: Workload): Promise<RunsFile> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole));
    const lines = whole.split('\n').filter((line) => line !== '');
    return new RunsFile(
      path,
      lines.map((line, i) => runOf(line, `${path}:${i + 1}`, workload)),
    );
  }

  has(variant: string, seed: number): boolean {
    return this.runs.some((run) => run.variant === variant && run.seed === seed);
  }

  async add(run: AblationRun): Promise<void> {
    await appendFile(this.path, `${JSON.stringify(run)}\n`);
    this.runs.push(run);
  }
}

function runOf(line: string, at: string, workload: Workload): AblationRun {
  let run: Partial<AblationRun> | null;
  try {
    run = JSON.parse(line);
  } catch (cause) {
    throw InvalidArgument.at(at, 'expected a run of an ablation, got a line that is no JSON', { cause });
  }
  const other = Object.entries(workload).filter(
    ([field, value]) => run?.workload?.[field as keyof Workload] !== value,
  );
  if (other.length > 0) {
    const differ = other
      .map(
        ([field, value]) => `${field} ${show(value)}, got ${show(run?.workload?.[field as keyof Workload])}`,
      )
      .join('; ');
    throw InvalidArgument.at(
      at,
      `expected a run of this ablation: ${differ}. Name another file for other runs`,
    );
  }
  return run as AblationRun;
}
