/** The ranks of a run on one machine: this process is the first, and starts one for each of the others. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { besideModule } from '@emotune/base';
import { alone, type Exchange, LostRank, Ring } from '@emotune/training';
import type { Tuning } from '../tune.js';
import { RankLink } from './link.js';
import type { FromRank, ToRank } from './messages.js';

const program = fileURLToPath(besideModule(import.meta.url, 'rank-main'));
/** Sources are run as they are, where tests run them so. */
const sourceArguments = import.meta.url.endsWith('.ts')
  ? [
      '--conditions=source',
      '--import',
      new URL('../../../../scripts/source-loader.mjs', import.meta.url).href,
    ]
  : [];
/** What of this process's environment it needs: no token of the trial. */
const inheritedNames =
  /^(PATH|HOME|TMPDIR|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|ORT_DISABLE_TELEMETRY|EMOTUNE_TFJS|TF_[A-Z_]+)$/;
const keptCharacters = 2_000;

/** A rank's account of what happened elsewhere. */
class Following extends LostRank {}

class RankProcess {
  private readonly child: ChildProcess;
  private written = '';
  readonly listening: Promise<string>;
  /** Rejects once it ends otherwise than well. */
  readonly lost: Promise<never>;
  private readonly closed: Promise<void>;

  constructor(readonly rank: number) {
    this.child = fork(program, [], {
      execArgv: [...sourceArguments, '--disable-warning=ExperimentalWarning'],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => inheritedNames.test(name))),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.written = (this.written + text).slice(-keptCharacters);
    });
    let failed: LostRank | undefined;
    this.listening = new Promise((resolve) => {
      this.child.on('message', (message: FromRank) => {
        if (message.type === 'listening') resolve(message.address);
        else
          failed = message.follows
            ? new Following(message.message)
            : new LostRank(`rank ${rank}: ${message.message}`, message.ending);
      });
    });
    this.closed = new Promise((resolve) => {
      this.child.once('close', () => resolve());
      this.child.once('error', () => resolve());
    });
    this.lost = new Promise((_, reject) => {
      this.child.once('error', ({ message }) =>
        reject(new LostRank(`rank ${rank} cannot be started: ${message}`)),
      );
      this.child.once('close', (code, signal) => {
        if (code !== 0) reject(failed ?? this.causeOf(code, signal));
      });
    });
    this.lost.catch(() => {});
  }

  private causeOf(code: number | null, signal: NodeJS.Signals | null): LostRank {
    const last = this.written.trim().split('\n').at(-1) ?? '';
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    return new LostRank(
      `rank ${this.rank} is gone (${how}${last === '' ? '' : `: ${last}`}); run it again to go on from the last checkpoint`,
    );
  }

  tell(message: ToRank): void {
    if (this.child.connected) this.child.send(message, () => {});
  }

  /** Gone, at the latest after `ms`. */
  async end(ms: number): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), ms);
    await this.closed;
    clearTimeout(timer);
  }
}

/** How long a rank has to end after the last step, ms: it has nothing more to do. */
const endMs = 5_000;
/** How long to wait for a rank's own account of why the others do not hear it any more, ms. */
const accountMs = 2_000;

/**
 * Does `work` as rank 0 of `ranks`, the others beside it in processes of their own.
 * @throws LostRank, with the ending of the rank that ended first; what `work` throws
 */
export async function withRanks<T>(
  ranks: number,
  request: Tuning,
  work: (exchange: Exchange) => Promise<T>,
): Promise<T> {
  if (ranks === 1) return work(alone);
  const token = randomBytes(32).toString('hex');
  const { link, address } = await RankLink.listen(token, 0);
  const others = Array.from({ length: ranks - 1 }, (_, i) => new RankProcess(i + 1));
  const lost = Promise.race(others.map((other) => other.lost));
  lost.catch(() => {});
  let working: Promise<T> | undefined;
  try {
    for (const other of others) other.tell({ type: 'begin', request, rank: other.rank, token });
    const addresses = await Promise.race([Promise.all(others.map(({ listening }) => listening)), lost]);
    others.forEach((other, i) => {
      other.tell({ type: 'next', address: addresses[i + 1] ?? address });
    });
    await link.connect(addresses[0]);
    working = work(new Ring(0, ranks, link));
    const result = await Promise.race([working, lost]);
    await Promise.all(others.map((other) => other.end(endMs)));
    return result;
  } catch (error) {
    // That a rank is not heard any more has a cause, which its process tells.
    if (error instanceof LostRank) {
      const account = await Promise.race([
        lost.catch((cause) => cause),
        new Promise((resolve) => setTimeout(resolve, accountMs)),
      ]);
      throw account instanceof Following ? error : (account ?? error);
    }
    throw error;
  } finally {
    link.close();
    await Promise.all(others.map((other) => other.end(0)));
    await working?.catch(() => undefined);
  }
}
