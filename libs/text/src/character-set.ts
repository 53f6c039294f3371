/** The characters that a class of a regular expression has, as Oniguruma's Unicode tables have it. */
import { Tokenizer as Library } from 'tokenizers';

const blockBits = 7;
const blockSize = 2 ** blockBits;

const isHalf = (code: number) => code >= 0xd800 && code <= 0xdfff;

/** Oniguruma is asked for a block of characters at once, when the first of them is met. A class is quick, whatever it holds. */
export class CharacterSet {
  private readonly blocks: Uint8Array[] = [];
  private readonly remove: (text: string) => string[];

  /** @param source Matches single characters. @throws Error where Oniguruma does not read it. */
  constructor(source: string) {
    const json = {
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'Split', pattern: { Regex: source }, behavior: 'Removed', invert: false },
      post_processor: null,
      decoder: null,
      model: { type: 'BPE', vocab: {}, merges: [] },
    };
    const split = Library.fromString(JSON.stringify(json)).getPreTokenizer()!;
    this.remove = (text) => split.preTokenizeString(text).map(([piece]) => piece);
  }

  private fill(block: number): Uint8Array {
    const first = block * blockSize;
    const codes = Array.from({ length: blockSize }, (_, i) => first + i).filter((code) => !isHalf(code));
    const has = new Uint8Array(blockSize);
    for (const code of codes) has[code - first] = 1;
    for (const left of this.remove(String.fromCodePoint(...codes)))
      for (const character of left) has[(character.codePointAt(0) as number) - first] = 0;
    this.blocks[block] = has;
    return has;
  }

  has(code: number): boolean {
    const block = this.blocks[code >> blockBits] ?? this.fill(code >> blockBits);
    return block[code & (blockSize - 1)] === 1;
  }
}
