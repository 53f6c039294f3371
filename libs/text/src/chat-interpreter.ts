/** Jinja for templates that come with a model from anywhere: what a rendering may cost is bounded by the messages' length. */
import { Interpreter } from '@huggingface/jinja';

interface Value {
  readonly type: string;
  readonly value: unknown;
}

/** The package's own types name files that the compiler does not find. */
const Jinja = Interpreter as new (
  environment: unknown,
) => { run(program: unknown): Value; evaluate(statement: unknown, environment: unknown): Value };

const stepsAtFirst = 500_000;
const stepsPerCharacter = 64;
const charactersPerStep = 8;

/** The values that lists, mappings and namespaces hold. */
function partsOf({ value }: Value): Iterable<Value> {
  if (Array.isArray(value)) return value;
  return value instanceof Map ? value.values() : [];
}

export class BoundedInterpreter extends Jinja {
  private readonly most: number;
  private left: number;
  /** Of what never changes: a list that holds another one twice is written twice as long. */
  private readonly weights = new WeakMap<object, number>();

  constructor(environment: unknown, characters: number) {
    super(environment);
    this.most = stepsAtFirst + stepsPerCharacter * characters;
    this.left = this.most;
  }

  private spend(steps: number): void {
    this.left -= steps;
    if (!(this.left >= 0)) throw new Error(`it takes more than ${this.most} steps`);
  }

  private weigh(value: Value): number {
    if (typeof value.value === 'string') return value.value.length / charactersPerStep;
    const known = this.weights.get(value);
    if (known !== undefined) return known;
    let weight = 1;
    for (const part of partsOf(value)) {
      this.spend(1);
      weight += this.weigh(part);
    }
    if (value.type !== 'NamespaceValue') this.weights.set(value, weight);
    return weight;
  }

  override evaluate(statement: unknown, environment: unknown): Value {
    this.spend(1);
    const value = super.evaluate(statement, environment);
    this.spend(this.weigh(value));
    return value;
  }
}
