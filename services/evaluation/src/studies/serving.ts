/** Which item a rater judges next: a pure function of what was given and judged so far. */
import { Rng } from '@emotune/base';

/** An item, as far as its turn depends on it. */
export interface ItemState {
  readonly number: number;
  readonly check: boolean;
  /** Judgements, and items that other raters have before them now. */
  readonly judgements: number;
}

export interface Turn {
  readonly seed: number;
  /** Raters of an item; 0: all. */
  readonly wanted: number;
  /** Raters that there are or, of those who come by the link, may be. */
  readonly raters: number;
  /** Number of the rater who asks. */
  readonly rater: number;
  /** What this rater was given, and whether it is judged. */
  readonly given: ReadonlyMap<number, boolean>;
  readonly items: readonly ItemState[];
}

/** After how many rows each check comes, of so many rows that a rater probably judges. */
function placesOf({ seed, rater }: Pick<Turn, 'seed' | 'rater'>, rows: number, checks: number): number[] {
  const rng = Rng.of(seed, 'checks', rater);
  return Array.from({ length: checks }, (_, i) =>
    Math.max(1, Math.floor((rows * (i + rng.uniform())) / checks)),
  );
}

/** Whether the second of two answers is shown first. */
export function isSwapped(seed: number, rater: number, item: number): boolean {
  return Rng.of(seed, 'sides', rater, item).int(2) === 1;
}

/** Rows that this rater can still be given. */
export function openRows({ wanted, given, items }: Pick<Turn, 'wanted' | 'given' | 'items'>): ItemState[] {
  return items.filter(
    ({ number, check, judgements }) => !check && !given.has(number) && (wanted === 0 || judgements < wanted),
  );
}

/**
 * The number of the next item; undefined where there is none. One that was given and not judged comes again. Of the others the one with
 * the fewest judgements, among equals in an order of the rater's own; attention checks come between, those left over at the end.
 */
export function nextItem(turn: Turn): number | undefined {
  const { seed, wanted, raters, rater, given, items } = turn;
  for (const [number, judged] of given) if (!judged) return number;
  const rows = items.filter(({ check }) => !check);
  const checks = Rng.of(seed, 'order of checks', rater).shuffle(items.filter(({ check }) => check));
  const waiting = checks.filter(({ number }) => !given.has(number));
  const judgedRows = rows.filter(({ number }) => given.has(number)).length;
  const expected =
    wanted === 0
      ? rows.length
      : Math.min(rows.length, Math.ceil((rows.length * wanted) / Math.max(1, raters)));
  const places = placesOf(turn, expected, checks.length);
  const due = places[checks.length - waiting.length];
  if (waiting.length > 0 && judgedRows >= due) return waiting[0].number;
  const open = openRows(turn);
  if (open.length === 0) return judgedRows > 0 ? waiting[0]?.number : undefined;
  const order = new Map(
    Rng.of(seed, 'order', rater)
      .shuffle(rows.map(({ number }) => number))
      .map((number, i) => [number, i]),
  );
  return open.reduce((best, item) =>
    item.judgements < best.judgements ||
    (item.judgements === best.judgements && order.get(item.number)! < order.get(best.number)!)
      ? item
      : best,
  ).number;
}
