/** The compiled graphs of a run, each made when it is first needed. */
import type { Executor, HostTensor, RunIO, Session, SweepSession } from '@emotune/engine';
import type { Value } from '@emotune/graph';

type Graph = () => Readonly<Record<string, Value>>;

export class Sessions {
  private readonly sessions = new Map<string, Session>();
  private readonly sweeps = new Map<string, SweepSession>();

  constructor(readonly executor: Executor) {}

  /** The graph of this key, compiled once. `arena`: as `Executor.load`; worth its memory to the graph that runs most. */
  async of(key: string, build: Graph, { arena = false } = {}): Promise<Session> {
    const session = this.sessions.get(key) ?? (await this.executor.load(build(), { arena }));
    this.sessions.set(key, session);
    return session;
  }

  /** The same of a graph that is swept. */
  async sweepOf(key: string, build: Graph): Promise<SweepSession> {
    const session = this.sweeps.get(key) ?? (await this.executor.loadSweep(build()));
    this.sweeps.set(key, session);
    return session;
  }

  /** Runs a graph; inputs that are not fed come from the slots of the same name, or those that `slots` names for them. */
  run(
    session: Session,
    { feeds, to, fetch }: Omit<RunIO, 'from'>,
    slots?: ReadonlyMap<string, string>,
  ): Promise<Record<string, HostTensor>> {
    const from = Object.fromEntries(
      Object.keys(session.model.inputs)
        .filter((name) => !(name in feeds))
        .map((name) => [name, slots?.get(name) ?? name]),
    );
    return this.executor.run(session, { feeds, from, ...(to ? { to } : {}), fetch });
  }

  async release(): Promise<void> {
    for (const session of [...this.sessions.values(), ...this.sweeps.values()])
      await this.executor.release(session);
    this.sessions.clear();
    this.sweeps.clear();
  }
}
