/**
 * A numeric parameter on the line where it is sampled: the logarithm of the value on log scales, the value
 * itself otherwise. A parameter with steps owns half a step to each side of every value, so that the first and
 * the last value are as likely as the others.
 */
import { gridSteps, gridValue, type NumericParameter } from './space.js';

export class Axis {
  /** Ends of the line. */
  readonly low: number;
  readonly high: number;
  /** Whether only the values of a grid occur. */
  readonly discrete: boolean;
  private readonly steps: number;
  private readonly half: number;

  constructor(readonly parameter: NumericParameter) {
    const steps = gridSteps(parameter);
    this.discrete = steps !== undefined;
    this.steps = steps ?? 0;
    this.half = (parameter.step ?? 0) / 2;
    const last = steps === undefined ? parameter.max : gridValue(parameter, steps);
    this.low = this.scale(parameter.min - this.half);
    this.high = this.scale(last + this.half);
  }

  private scale(value: number): number {
    return this.parameter.log ? Math.log(value) : value;
  }

  get width(): number {
    return this.high - this.low;
  }

  /** A value's place on the line. */
  place(value: number): number {
    return this.scale(value);
  }

  /** Ends of the stretch that belongs to a grid value. */
  stretch(value: number): [from: number, to: number] {
    return [this.scale(value - this.half), this.scale(value + this.half)];
  }

  /** The parameter's value at a place, rounded to the grid and kept inside the range. */
  valueAt(place: number): number {
    const { parameter } = this;
    const value = parameter.log ? Math.exp(place) : place;
    if (!this.discrete) return Math.min(parameter.max, Math.max(parameter.min, value));
    const k = Math.round((value - parameter.min) / (parameter.step as number));
    return gridValue(parameter, Math.min(this.steps, Math.max(0, k)));
  }
}
