import { expect, it } from 'vitest';
import { LinesOnce } from './pod-log.js';

const line = (second: number, fraction: string, text: string) =>
  `2026-12-01T04:00:0${second}.${fraction}Z ${text}`;

it('takes each line once, though a stream begins again within a second', () => {
  const all = [
    line(1, '1', 'one'),
    line(2, '25', 'two'),
    // Two streams of a process may be written in another order than they were stamped in.
    line(2, '2', 'three'),
    line(2, '25', 'four'),
    line(3, '5', 'five'),
    line(2, '99', 'late'),
    line(4, '0', ''),
  ];
  for (let broken = 0; broken <= all.length; broken++) {
    const once = new LinesOnce();
    once.begin();
    const taken = all.slice(0, broken).map((one) => once.take(one));
    const { since } = once;
    // What the API server gives from there on: every line of that second or later.
    const rest = all.filter((one) => since === undefined || `${one.slice(0, 19)}Z` >= since);
    once.begin();
    for (const one of rest) taken.push(once.take(one));
    const texts = taken.filter((text) => text !== undefined);
    expect(texts, `broken after ${broken}`).toEqual(['one', 'two', 'three', 'four', 'five', 'late', '']);
  }
});

it('leaves out what a kubelet says in place of a log', () => {
  const once = new LinesOnce();
  once.begin();
  expect(once.take('unable to retrieve container logs for containerd://b957')).toBeUndefined();
  expect(once.since).toBeUndefined();
});
