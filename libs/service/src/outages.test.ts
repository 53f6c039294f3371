import { Internal, Unavailable } from '@emotune/base';
import { expect, it } from 'vitest';
import { jsonLog } from './log.js';
import { Outages } from './outages.js';

function logged() {
  const lines: { level: string; message: string; error?: { message: string } }[] = [];
  const outages = new Outages(jsonLog((line) => lines.push(JSON.parse(line))));
  const said = () => lines.map(({ level, message, error }) => [level, message, error?.message]);
  return { outages, said };
}

it('an outage is told when it begins and when it is over, whatever its errors say', () => {
  const { outages, said } = logged();
  for (let i = 0; i < 100; i++) outages.failed('work', new Unavailable(`away, ${i}`));
  outages.over('work');
  outages.over('work');
  outages.failed('work', new Unavailable('away again'));
  expect(said()).toEqual([
    ['warn', 'work failed and will be tried again', 'away, 0'],
    ['info', 'work goes on', undefined],
    ['warn', 'work failed and will be tried again', 'away again'],
  ]);
});

it('reasons are told once each, and not without end', () => {
  const { outages, said } = logged();
  for (let i = 0; i < 100; i++) outages.failed('work', new Internal(`defect ${i % 2}`));
  expect(said().map(([level, , reason]) => [level, reason])).toEqual([
    ['error', 'defect 0'],
    ['error', 'defect 1'],
  ]);
  for (let i = 0; i < 100; i++) outages.failed('work', new Internal(`defect at ${i}`), { of: 'another' });
  expect(said()).toHaveLength(12);
});
