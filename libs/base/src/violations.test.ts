import { expect, it } from 'vitest';
import { InvalidArgument, NotFound } from './errors.js';
import { Violations } from './violations.js';

const thrownBy = (call: () => void): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

it('tells everything that several checks found, in their order', () => {
  const violations = new Violations([{ field: 'a', description: 'expected 1, got 2' }]);
  expect(violations.expect(true, 'b', 'never said')).toBe(true);
  expect(violations.expect(false, ['c', 0, 'd'], 'expected 3, got 4')).toBe(false);
  expect(violations.collect(() => 5)).toBe(5);
  const refused = violations.collect((): number => {
    throw new InvalidArgument([
      { field: 'e', description: 'expected 5, got 6' },
      { field: 'f', description: 'expected 7, got 8' },
    ]);
  });
  expect(refused).toBeUndefined();
  violations.addAll([{ field: 'g', description: 'expected 9, got 10' }]);
  violations.add('', 'expected less');
  const error = thrownBy(() => violations.throwIfAny());
  expect(error).toBeInstanceOf(InvalidArgument);
  expect((error as InvalidArgument).violations).toEqual(violations.list);
  expect((error as InvalidArgument).message).toBe(
    'a: expected 1, got 2; c[0].d: expected 3, got 4; e: expected 5, got 6; f: expected 7, got 8; g: expected 9, got 10; expected less',
  );
});

it('throws nothing where nothing was found', () => {
  expect(thrownBy(() => new Violations().throwIfAny())).toBeUndefined();
});

it('lets through what is no refusal of the input', () => {
  const violations = new Violations();
  const absent = () => {
    throw new NotFound('no such file');
  };
  expect(thrownBy(() => violations.collect(absent))).toBeInstanceOf(NotFound);
  expect(violations.list).toEqual([]);
});

it('tells a hundred and counts the rest, whose descriptions nobody asks for', () => {
  const violations = new Violations();
  let asked = 0;
  for (let i = 0; i < 1_000; i++) violations.add(['list', i], () => `expected ${++asked}`);
  const { violations: told } = thrownBy(() => violations.throwIfAny()) as InvalidArgument;
  expect([told.length, told[99], told[100], asked]).toEqual([
    101,
    { field: 'list[99]', description: 'expected 100' },
    { field: '', description: 'and 900 more' },
    100,
  ]);
});
