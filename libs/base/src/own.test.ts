import { expect, it } from 'vitest';
import { own } from './own.js';

it('a record has what was put into it, whatever its name', () => {
  const names = ['constructor', 'toString', 'hasOwnProperty', '__proto__'];
  for (const name of names) expect(own({}, name), name).toBeUndefined();
  const full = Object.fromEntries(names.map((name, i) => [name, i]));
  expect(names.map((name) => own(full, name))).toEqual([0, 1, 2, 3]);
});
