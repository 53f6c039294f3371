/**
 * Sums over ranks in a ring (Patarasuk and Yuan 2009; Baidu 2017): each sends to the next and hears the one before. Values are cut
 * into as many parts as there are ranks; in ranks − 1 steps each part is added up on its way around, in ranks − 1 more the
 * sums go around. Every rank sends 2·(ranks − 1)/ranks of the values, however many ranks there are.
 */
import { bytesOf } from '../bytes.js';
import { LostRank } from '../failures.js';
import type { Exchange } from './exchange.js';

/** Bytes from the rank before and to the next one, in order. */
export interface Link {
  /** The bytes are copied before it returns; the promise is there for who sends faster than the other reads. */
  send(bytes: Uint8Array): Promise<void>;
  /** @throws LostRank once the rank before is gone. */
  receive(): Promise<Uint8Array>;
}

type Numbers = Float32Array | Float64Array;

/** Elements of a message: a next one is on its way while one is added. */
const chunk = 2 ** 16;

/** Of a message of what is shared, and of all of it: a tensor of a gibibyte of weights is two. */
const sharedBytes = 2 ** 18;
const mostShared = 2 ** 33;

/** Where part `of` begins when so many elements are cut into `ranks` parts. */
const begin = (of: number, elements: number, ranks: number) => Math.floor((of * elements) / ranks);

function* chunks(values: Numbers): Generator<Numbers> {
  for (let at = 0; at < values.length; at += chunk) yield values.subarray(at, at + chunk);
}

function numbersIn(bytes: Uint8Array, like: Numbers): Numbers {
  // Messages lie anywhere in their buffers.
  const { buffer } = new Uint8Array(bytes);
  return like instanceof Float32Array ? new Float32Array(buffer) : new Float64Array(buffer);
}

export class Ring implements Exchange {
  constructor(
    readonly rank: number,
    readonly ranks: number,
    private readonly link: Link,
  ) {}

  async sum(values: Numbers): Promise<void> {
    const { rank, ranks } = this;
    const part = (of: number) => {
      const at = (of + 2 * ranks) % ranks;
      return values.subarray(begin(at, values.length, ranks), begin(at + 1, values.length, ranks));
    };
    for (let step = 0; step < ranks - 1; step++)
      await this.pass(part(rank - step), part(rank - step - 1), (own, came) => {
        for (let i = 0; i < own.length; i++) own[i] += came[i];
      });
    for (let step = 0; step < ranks - 1; step++)
      await this.pass(part(rank - step + 1), part(rank - step), (own, came) => own.set(came));
  }

  private async pass(
    sent: Numbers,
    heard: Numbers,
    take: (own: Numbers, came: Numbers) => void,
  ): Promise<void> {
    const send = async () => {
      for (const piece of chunks(sent)) await this.link.send(bytesOf(piece));
    };
    const hear = async () => {
      for (const piece of chunks(heard)) take(piece, numbersIn(await this.message(piece.byteLength), piece));
    };
    await Promise.all([send(), hear()]);
  }

  private async message(bytes: number): Promise<Uint8Array> {
    const message = await this.link.receive();
    if (message.byteLength !== bytes) throw this.garbled(`${bytes} bytes`, message.byteLength);
    return message;
  }

  /** From each rank to the next; the last one's next has it. The length goes before what is said. */
  async share(said?: Uint8Array): Promise<Uint8Array> {
    const { rank, ranks, link } = this;
    const passOn = async (message: Uint8Array) => {
      if (rank < ranks - 1) await link.send(message);
    };
    if (rank === 0) {
      await passOn(bytesOf(Float64Array.of(said!.byteLength)));
      for (let at = 0; at < said!.byteLength; at += sharedBytes)
        await passOn(said!.subarray(at, at + sharedBytes));
      return said!;
    }
    const length = await this.message(8);
    await passOn(length);
    const [bytes] = numbersIn(length, new Float64Array());
    if (!(bytes >= 0 && bytes <= mostShared)) throw this.garbled(`a length of at most ${mostShared}`, bytes);
    const heard = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += sharedBytes) {
      const message = await this.message(Math.min(sharedBytes, bytes - at));
      heard.set(message, at);
      await passOn(message);
    }
    return heard;
  }

  private garbled(expected: string, got: number): LostRank {
    return new LostRank(
      `rank ${this.rank} expected ${expected} from the rank before it, got ${got}: ranks have to run the same version on the same data`,
    );
  }
}
