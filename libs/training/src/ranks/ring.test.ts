import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { Ring } from './ring.js';
import { linksInMemory } from './testing.js';

const rings = (ranks: number) => linksInMemory(ranks).map((link, rank) => new Ring(rank, ranks, link));

describe('a ring', () => {
  it.each([
    [1, 5],
    [2, 0],
    [2, 1],
    [3, 2],
    [3, 200_001],
    [5, 17],
  ])('of %i ranks has the sum of %i values, the same bits on each', async (ranks, length) => {
    const given = Array.from({ length: ranks }, (_, rank) => {
      const rng = Rng.of('ring', rank);
      return Float32Array.from({ length }, () => rng.uniform() - 0.5);
    });
    const values = given.map((own) => own.slice());
    await Promise.all(rings(ranks).map((ring, rank) => ring.sum(values[rank])));
    for (const other of values)
      expect(Buffer.from(other.buffer).equals(Buffer.from(values[0].buffer))).toBe(true);
    const worst = values[0].reduce(
      (most, sum, i) => Math.max(most, Math.abs(sum - given.reduce((n, own) => n + own[i], 0))),
      0,
    );
    // A rounding of 2⁻²⁴ for each of at most four additions of numbers below 2.5.
    expect(worst).toBeLessThan(6e-7);
    const again = given.map((own) => own.slice());
    await Promise.all(rings(ranks).map((ring, rank) => ring.sum(again[rank])));
    expect(Buffer.from(again[0].buffer).equals(Buffer.from(values[0].buffer))).toBe(true);
  });

  it('sums float64 as such', async () => {
    const values = [1, 2, 4].map((n) => Float64Array.of(n, n * 1e-12, n / 3));
    await Promise.all(rings(3).map((ring, rank) => ring.sum(values[rank])));
    expect([...values[2]]).toEqual([7, 7e-12, expect.closeTo(7 / 3, 15)]);
  });

  it.each([0, 3, 600_000])('says to all the %i bytes that rank 0 says', async (length) => {
    const said = Uint8Array.from({ length }, (_, i) => i);
    const heard = await Promise.all(rings(4).map((ring, rank) => ring.share(rank === 0 ? said : undefined)));
    for (const bytes of heard) expect(Buffer.from(bytes).equals(Buffer.from(said))).toBe(true);
  });

  it('tells where a rank says something of another size, and ends all where one is gone', async () => {
    const [one, other] = rings(2);
    const sums = [one.sum(new Float32Array(4)), other.sum(new Float32Array(6))];
    await expect(Promise.all(sums)).rejects.toThrow(
      /^rank \d expected \d+ bytes from the rank before it, got \d+/,
    );
    await Promise.allSettled(sums);
    const links = linksInMemory(3);
    const three = links.map((link, rank) => new Ring(rank, 3, link));
    const waiting = [0, 1].map((rank) => three[rank].sum(new Float32Array(9)));
    links[2].cut();
    await expect(waiting[0]).rejects.toThrow('gone');
    links[0].cut();
    await expect(waiting[1]).rejects.toThrow('gone');
  });
});
