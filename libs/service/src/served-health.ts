/**
 * The health of a server and of each of its services: it serves once it has started, while all that it needs is there. Beside
 * them `live` serves from the beginning to the end: whoever starts processes anew asks for that, since another start brings no
 * database back.
 */
import { HealthImplementation } from 'grpc-health-check';

export class ServedHealth {
  readonly implementation = new HealthImplementation({ '': 'NOT_SERVING', live: 'SERVING' });
  private readonly services = new Set<string>();
  /** By area, what it lacks. */
  private readonly lacks = new Map<string, Set<string>>();
  private serving = false;

  /** @param service Full name, emotune.<area>.v1.… */
  add(service: string): void {
    this.services.add(service);
  }

  /** From now on, or for good no longer. */
  serve(serving: boolean): void {
    this.serving = serving;
    this.say();
  }

  /** What an area needs is there, or away. */
  needs(area: string, what: string, isThere: boolean): void {
    const lacking = this.lacks.get(area) ?? new Set();
    this.lacks.set(area, lacking);
    if (isThere) lacking.delete(what);
    else lacking.add(what);
    this.say();
  }

  private say(): void {
    const serves = (service: string) => this.serving && !this.lacks.get(service.split('.')[1])?.size;
    const all = [...this.services];
    for (const service of all) this.set(service, serves(service));
    this.set('', this.serving && all.every(serves));
  }

  private set(service: string, serving: boolean): void {
    this.implementation.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
  }
}
