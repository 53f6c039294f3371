/** Progress of work that takes long: a bar on a terminal, else a line now and then. */
import type { Clock } from '@emotune/base';
import cliProgress from 'cli-progress';
import { clip, count } from './format/text.js';
import type { TextOutput } from './io.js';

const lineEveryMs = 1000;
const barColumns = 24;

/** `phase: 3 of 4 rows`; a total of 0 is not known. */
export function progressText(phase: string, done: number, total: number, unit: string): string {
  const [show, name] =
    unit === 'bytes' ? [(bytes: number) => (bytes / 1024 ** 2).toFixed(1), 'MiB'] : [count, unit];
  const amount = total > 0 ? `${show(done)} of ${show(total)}` : done > 0 ? show(done) : '';
  return amount === '' ? phase : `${phase}: ${amount} ${name}`.trimEnd();
}

export class Progress {
  private readonly bar: cliProgress.SingleBar | undefined;
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

  /** `done` of `total` units; total 0 when it is not known. */
  update(phase: string, done: number, total: number, unit: string): void {
    const text = progressText(phase, done, total, unit);
    if (this.bar) {
      const known = total > 0;
      const [value, whole] = known ? [Math.min(done, total), total] : [0, 1];
      if (!this.bar.isActive) this.bar.start(whole, value, { text, known });
      this.bar.setTotal(whole);
      this.bar.update(value, { text, known });
      return;
    }
    const now = this.clock.now();
    if (text === this.lastText || now - this.lastMs < lineEveryMs) return;
    [this.lastText, this.lastMs] = [text, now];
    this.output.write(`${text}\n`);
  }

  /** A line that stays. */
  line(text: string): void {
    this.end();
    this.output.write(`${text}\n`);
  }

  /** Removes the bar and leaves the terminal as it was. */
  end(): void {
    if (this.bar?.isActive) this.bar.stop();
  }
}
