/** What a name stands for now: asked of the tuning service, and by many at once only once. */
import type { tuning } from '@emotune/proto';

type Find = (name: string) => Promise<tuning.Model>;

interface Asking {
  readonly answer: Promise<tuning.Model>;
  /** For those who came while it was asked: its answer may be older than their question. */
  next?: Promise<tuning.Model>;
}

export class ModelLookup {
  private readonly asking = new Map<string, Asking>();

  constructor(private readonly ask: Find) {}

  /** The model as it is known by then or later, never before. */
  find(name: string): Promise<tuning.Model> {
    const asking = this.asking.get(name);
    if (!asking) return this.start(name);
    asking.next ??= asking.answer.then(
      () => this.start(name),
      () => this.start(name),
    );
    return asking.next;
  }

  private start(name: string): Promise<tuning.Model> {
    const asking: Asking = { answer: this.ask(name) };
    this.asking.set(name, asking);
    const end = () => {
      if (this.asking.get(name) === asking) this.asking.delete(name);
    };
    asking.answer.then(end, end);
    return asking.answer;
  }
}
