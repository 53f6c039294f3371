/**
 * Who goes next where more is asked than can be computed at once. Callers take turns, and so do the calls of each: who asks
 * little does not wait for all of who asks much. What is alike is taken together. Pure.
 */

/** Part of a call. */
export interface Piece {
  /** Tokens, at least 1. */
  readonly cost: number;
  /** Pieces of one kind can be computed together. */
  readonly kind: string;
}

/** What was taken of whoever takes turns with others: nobody gains by having asked nothing before. */
interface Turns {
  taken: number;
}

interface Caller extends Turns {
  readonly name: string;
  lines: number;
  /** Cost of what waits. */
  waiting: number;
  /** What its line that was served last had had. */
  now: number;
}

/** The pieces of a call that wait. */
export interface Line<P extends Piece> extends Turns {
  readonly caller: Caller;
  /** By kind, the oldest first. */
  readonly pieces: Map<string, P[]>;
}

/** A turn. What is smaller is not divided by letting others in between. */
const quantum = 512;

const turnsOf = ({ taken }: Turns) => Math.floor(taken / quantum);

/** Has had as many turns as those who were there meanwhile. */
function catchUp(turns: Turns, now: number): void {
  turns.taken = Math.max(turns.taken, quantum * Math.floor(now / quantum));
}

export class FairQueue<P extends Piece> {
  /** As they came. */
  private readonly lines = new Set<Line<P>>();
  private readonly callers = new Map<string, Caller>();
  /** What the caller that was served last had had. */
  private now = 0;
  private waiting = 0;

  /** Cost of all that waits. */
  get cost(): number {
    return this.waiting;
  }

  /** A place for the pieces of a call, until `close`. */
  open(name: string): Line<P> {
    const caller = this.callers.get(name) ?? { name, lines: 0, waiting: 0, taken: 0, now: 0 };
    caller.lines++;
    this.callers.set(name, caller);
    const line = { caller, pieces: new Map(), taken: 0 };
    this.lines.add(line);
    return line;
  }

  add(line: Line<P>, pieces: readonly P[]): void {
    const { caller } = line;
    if (caller.waiting === 0) catchUp(caller, this.now);
    if (line.pieces.size === 0) catchUp(line, caller.now);
    for (const piece of pieces) {
      const alike = line.pieces.get(piece.kind);
      if (alike) alike.push(piece);
      else line.pieces.set(piece.kind, [piece]);
      this.count(caller, piece.cost);
    }
  }

  /** Those of these that still wait are not taken any more. */
  remove(line: Line<P>, pieces: ReadonlySet<P>): void {
    for (const [kind, alike] of line.pieces) {
      const left = alike.filter((piece) => !pieces.has(piece));
      for (const piece of alike) if (pieces.has(piece)) this.count(line.caller, -piece.cost);
      if (left.length > 0) line.pieces.set(kind, left);
      else line.pieces.delete(kind);
    }
  }

  /** What waits there is not taken any more. */
  close(line: Line<P>): void {
    this.remove(line, new Set([...line.pieces.values()].flat()));
    if (this.lines.delete(line) && --line.caller.lines === 0) this.callers.delete(line.caller.name);
  }

  /** What comes next: pieces of one kind that cost at most `most` together, one at least; none where nothing waits. */
  take(most: number): P[] {
    const first = this.next();
    const [kind] = first?.pieces.keys() ?? [];
    const taken: P[] = [];
    let cost = 0;
    for (let line = first; line; line = this.next(kind)) {
      const alike: P[] = line.pieces.get(kind)!;
      if (taken.length > 0 && cost + alike[0].cost > most) break;
      const piece = alike.shift()!;
      if (alike.length === 0) line.pieces.delete(kind);
      cost += piece.cost;
      this.charge(line, piece.cost);
      taken.push(piece);
    }
    return taken;
  }

  /** The line whose turn it is: of those with something of this kind, where one is given. */
  private next(kind?: string): Line<P> | undefined {
    let best: Line<P> | undefined;
    for (const line of this.lines) {
      if (kind === undefined ? line.pieces.size === 0 : !line.pieces.has(kind)) continue;
      const more = best && (turnsOf(line.caller) - turnsOf(best.caller) || turnsOf(line) - turnsOf(best));
      if (more === undefined || more < 0) best = line;
    }
    return best;
  }

  private charge(line: Line<P>, cost: number): void {
    const { caller } = line;
    this.now = Math.max(this.now, caller.taken);
    caller.now = Math.max(caller.now, line.taken);
    caller.taken += cost;
    line.taken += cost;
    this.count(caller, -cost);
  }

  private count(caller: Caller, cost: number): void {
    caller.waiting += cost;
    this.waiting += cost;
  }
}
