/** The compiled graphs of a run, each made when it is first needed. */
import type {
  CompileHints,
  Executor,
  HostTensor,
  Outputs,
  Program,
  RunIO,
  SweepGraph,
  SweepProgram,
} from '@emotune/engine';

export class Sessions {
  private readonly programs = new Map<string, Program>();
  private readonly sweeps = new Map<string, SweepProgram>();

  constructor(readonly executor: Executor) {}

  /** The graph of this key, compiled once. Memory that is kept for the next run is worth it to the graph that runs most. */
  async of(
    key: string,
    build: () => Outputs,
    { runs = 'seldom' }: Pick<CompileHints, 'runs'> = {},
  ): Promise<Program> {
    const program = this.programs.get(key) ?? (await this.executor.compile(build(), { runs }));
    this.programs.set(key, program);
    return program;
  }

  /** The same of a graph that is swept over so many elements. */
  async sweepOf(key: string, build: SweepGraph, elements: number): Promise<SweepProgram> {
    const program = this.sweeps.get(key) ?? (await this.executor.compileSweep(build, elements));
    this.sweeps.set(key, program);
    return program;
  }

  /** Runs a graph; weights and state come from the slots of the same name, or those that `slots` names for them. */
  run(
    program: Program,
    { feeds, to, fetch }: Omit<RunIO, 'from'>,
    slots?: ReadonlyMap<string, string>,
  ): Promise<Record<string, HostTensor>> {
    const from = Object.fromEntries(
      Object.entries(program.inputs).flatMap(([name, { kind }]) =>
        kind === 'feed' ? [] : [[name, slots?.get(name) ?? name]],
      ),
    );
    return this.executor.run(program, { feeds, from, ...(to ? { to } : {}), fetch });
  }

  async release(): Promise<void> {
    for (const program of [...this.programs.values(), ...this.sweeps.values()])
      await this.executor.release(program);
    this.programs.clear();
    this.sweeps.clear();
  }
}
