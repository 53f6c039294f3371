/** Progress of work that takes long: a bar on a terminal, else a line now and then. */
import { type Clock, printable } from '@emotune/base';
import cliProgress from 'cli-progress';
import { clip, count, durationText } from './format/text.js';
import type { TextOutput } from './io.js';

/** Without a terminal a line comes no more often than that, and than each tenth more of the time a phase has taken. */
const lineEveryMs = 1000;
const lineEveryShare = 0.1;
/** What is left is told once a phase has shown for so long how fast it is. */
const measuredMs = 5000;
const barColumns = 24;

/** `phase: 3 of 4 rows`; a total of 0 is not known. */
export function progressText(phase: string, done: number, total: number, unit: string): string {
  const [show, name] =
    unit === 'bytes' ? [(bytes: number) => (bytes / 1024 ** 2).toFixed(1), 'MiB'] : [count, unit];
  const amount = total > 0 ? `${show(done)} of ${show(total)}` : done > 0 ? show(done) : '';
  return amount === '' ? phase : `${phase}: ${amount} ${name}`.trimEnd();
}

/** What is shown for a while: since when, and what of it was done then. */
interface Phase {
  readonly name: string;
  readonly ms: number;
  readonly done: number;
}

export class Progress {
  private readonly bar: cliProgress.SingleBar | undefined;
  private phase: Phase = { name: '', ms: 0, done: 0 };
  private lastText = '';
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly output: TextOutput,
    private readonly clock: Clock,
  ) {
    if (!output.isTTY) return;
    this.bar = new cliProgress.SingleBar({
      stream: output,
      hideCursor: true,
      clearOnComplete: true,
      barsize: barColumns,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      format: (options, { progress, maxWidth }, { text, known }: { text: string; known: boolean }) => {
        const bar = known ? `${cliProgress.Format.BarFormat(progress, options)} ` : '';
        return `${bar}${clip(text, Math.max(20, maxWidth - bar.length - 1))}`;
      },
    });
  }

  /** It can be shown in place. */
  get isBar(): boolean {
    return this.bar !== undefined;
  }

  /** "about 3 min left", at the rate since the phase began. */
  private leftText(name: string, done: number, total: number, now: number): string {
    if (name !== this.phase.name || done < this.phase.done) this.phase = { name, ms: now, done };
    const took = now - this.phase.ms;
    const gained = done - this.phase.done;
    if (total <= done || gained <= 0 || took < measuredMs) return '';
    return `about ${durationText((took / gained) * (total - done))} left`;
  }

  /** `done` of `total` units; total 0 when it is not known. `detail` says more of it. */
  update(phase: string, done: number, total: number, unit: string, detail = ''): void {
    const now = this.clock.now();
    const amount = progressText(phase, done, total, unit);
    const text = printable(
      [amount, detail, this.leftText(phase, done, total, now)].filter(Boolean).join(', '),
    );
    if (this.bar) {
      const known = total > 0;
      const [value, whole] = known ? [Math.min(done, total), total] : [0, 1];
      if (!this.bar.isActive) this.bar.start(whole, value, { text, known });
      this.bar.setTotal(whole);
      this.bar.update(value, { text, known });
      return;
    }
    const pause = Math.max(lineEveryMs, lineEveryShare * (now - this.phase.ms));
    if (amount === this.lastText || now - this.lastMs < pause) return;
    [this.lastText, this.lastMs] = [amount, now];
    this.output.write(`${text}\n`);
  }

  /** A line that stays. */
  line(text: string): void {
    this.end();
    this.output.write(`${printable(text)}\n`);
  }

  /** Removes the bar and leaves the terminal as it was. */
  end(): void {
    if (this.bar?.isActive) this.bar.stop();
  }
}
