/** What a tokenizer of unknown origin may cost on one text: bounded by the text's length alone, so the same on every machine. */
import { Steps } from './pattern-machine.js';
import { wrong } from './token-model.js';

/** NFKD writes one character as up to 18, ByteLevel as up to 4; short texts get prefixes. */
const mostGrowth = 64;
const charactersAtFirst = 4096;

export class Effort {
  readonly steps: Steps;
  private readonly most: number;
  private written = 0;

  constructor(private readonly length: number) {
    this.steps = Steps.of(length);
    this.most = charactersAtFirst + mostGrowth * length;
  }

  /** Counts what a part of the tokenizer writes, before it does where that is known. @throws InvalidArgument */
  write(part: string, characters: number): void {
    this.written += characters;
    if (this.written > this.most)
      throw wrong(
        part,
        `expected at most ${this.most} characters in all for a text of ${this.length}, got more`,
      );
  }
}
