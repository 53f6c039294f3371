/** Which rows of a call begin alike, and whether computing that beginning once pays. */

/** Rows whose first `length` tokens are the same and computed once; 0: each row for itself. */
export interface PrefixGroup {
  readonly members: readonly number[];
  readonly length: number;
}

export interface PrefixCost {
  /** Prefixes are multiples of it, so that few graphs serve all. */
  readonly granule: number;
  /** How often a shared prefix is computed: once in each executor. */
  readonly copies: number;
  /** Tokens that sharing must save to be worth a pass of its own. */
  readonly worthwhile: number;
}

/**
 * The division of `rows` (token sequences) into groups that saves most tokens; every row keeps one token at least. A
 * function of the rows alone, so that the same call always computes the same.
 */
export function prefixGroups(rows: readonly Int32Array[], cost: PrefixCost): PrefixGroup[] {
  return [...divide(rows, [...rows.keys()], 0, cost).groups];
}

interface Division {
  readonly groups: readonly PrefixGroup[];
  /** Tokens. */
  readonly saved: number;
}

/** `members` have their first `length` tokens in common. */
function divide(
  rows: readonly Int32Array[],
  members: readonly number[],
  length: number,
  cost: PrefixCost,
): Division {
  const saving = (n: number) => {
    const saved = (n - cost.copies) * length;
    return saved >= cost.worthwhile ? saved : 0;
  };
  const groupOf = (some: readonly number[]): Division => {
    const saved = saving(some.length);
    return { groups: [{ members: some, length: saved > 0 ? length : 0 }], saved };
  };
  const whole = groupOf(members);
  const end = length + cost.granule;
  const byNext = new Map<string, number[]>();
  for (const i of members) {
    const next = rows[i].length > end ? rows[i].subarray(length, end).join(' ') : '';
    const same = byNext.get(next);
    if (same) same.push(i);
    else byNext.set(next, [i]);
  }
  const ended = byNext.get('') ?? [];
  byNext.delete('');
  const parts = [...byNext.values()].map((some) => divide(rows, some, end, cost));
  if (ended.length > 0) parts.push(groupOf(ended));
  const saved = parts.reduce((sum, part) => sum + part.saved, 0);
  return saved > whole.saved ? { groups: parts.flatMap(({ groups }) => groups), saved } : whole;
}
