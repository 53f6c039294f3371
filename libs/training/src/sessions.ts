/** The compiled graphs of a run, each made when it is first needed. */
import type { Executor, HostTensor, RunIO, Session } from '@emotune/engine';
import type { Value } from '@emotune/graph';

export class Sessions {
  private readonly sessions = new Map<string, Session>();

  constructor(readonly executor: Executor) {}

  /** The graph of this key, compiled once. `arena`: as `Executor.load`; worth its memory to the graph that runs most. */
  async of(
    key: string,
    build: () => Readonly<Record<string, Value>>,
    { arena = false } = {},
  ): Promise<Session> {
    let session = this.sessions.get(key);
    if (!session) {
      session = await this.executor.load(build(), { arena });
      this.sessions.set(key, session);
    }
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
    for (const session of this.sessions.values()) await this.executor.release(session);
    this.sessions.clear();
  }
}
