/** How far a member has come in one partition whose events it handles side by side. */
export class Progress {
  /** Taken and not done with, in their order. */
  private readonly open = new Set<number>();

  /** @param next the first offset that is not taken */
  constructor(private next: number) {}

  get nextOffset(): number {
    return this.next;
  }

  /** Offsets may have gaps; they only grow. */
  take(offset: number): void {
    this.open.add(offset);
    this.next = offset + 1;
  }

  /** Nothing before it is of interest any more, as the end of a batch may say. */
  skipTo(next: number): void {
    this.next = Math.max(this.next, next);
  }

  done(offset: number): void {
    this.open.delete(offset);
  }

  /** The first offset that is not done with: what may be committed. */
  get position(): number {
    const [first] = this.open;
    return first ?? this.next;
  }

  /** How many offsets a member that takes over would be given again, at most. */
  get span(): number {
    return this.next - this.position;
  }
}
