/** The ids of a file, each with where it is, in some thirty bytes each. */
import { hash } from 'node:crypto';
import { grown, Numbering } from '@emotune/base';

export class RowIds {
  private readonly ids = new Numbering(4);
  private places = new Float64Array(1024);
  /** "line" or "row". */
  private unit = '';

  private keyOf(id: string): readonly number[] {
    const digest = hash('sha256', id, 'buffer');
    return [0, 4, 8, 12].map((at) => digest.readUInt32BE(at));
  }

  /** @param at such as "line 12" @returns where the id has been before; then it stays there */
  add(id: string, at: string): string | undefined {
    const known = this.ids.size;
    const number = this.ids.add(this.keyOf(id));
    if (number < known) return `${this.unit} ${this.places[number]}`;
    const [unit, place] = at.split(' ');
    this.unit = unit;
    this.places = grown(this.places, this.ids.size);
    this.places[number] = Number(place);
    return undefined;
  }

  has(id: string): boolean {
    return this.ids.size > 0 && this.ids.get(this.keyOf(id)) !== undefined;
  }
}
