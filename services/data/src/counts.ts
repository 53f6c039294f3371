/** What a manifest tells of the rows, counted as they pass. */
import {
  licenceConflicts,
  licenceTerms,
  type SourceExample,
  type Split,
  type Task,
  tasks,
} from '@emotune/affect';
import type { data } from '@emotune/proto';
import { taskMessage } from '@emotune/service/words';

const none = (): data.SplitCounts => ({ train: 0, validation: 0, test: 0 });
export const totalOf = ({ train, validation, test }: data.SplitCounts): number => train + validation + test;

/** Counts by name. */
class Tally {
  private readonly counts = new Map<string, data.SplitCounts>();

  add(name: string, split: Split): void {
    let of = this.counts.get(name);
    if (of === undefined) {
      of = none();
      this.counts.set(name, of);
    }
    of[split]++;
  }

  of(name: string): data.SplitCounts {
    return this.counts.get(name) ?? none();
  }

  /** Most frequent first, then by name. */
  get all(): (readonly [string, data.SplitCounts])[] {
    return [...this.counts].sort(([a, x], [b, y]) => totalOf(y) - totalOf(x) || (a < b ? -1 : Number(a > b)));
  }
}

export class Counts {
  readonly rows = none();
  private readonly sources = new Tally();
  private readonly tongues = new Tally();
  private readonly asked = new Map<Task, { readonly rows: data.SplitCounts; readonly labels: Tally }>();
  private readonly sourcesOfLicence = new Map<string, Map<string, number>>();

  add({ source, task, gold, language, licence }: SourceExample, split: Split): void {
    this.rows[split]++;
    this.sources.add(source, split);
    this.tongues.add(language, split);
    const sources = this.sourcesOfLicence.get(licence) ?? new Map<string, number>();
    this.sourcesOfLicence.set(licence, sources.set(source, (sources.get(source) ?? 0) + 1));
    let asked = this.asked.get(task);
    if (!asked) {
      asked = { rows: none(), labels: new Tally() };
      this.asked.set(task, asked);
    }
    asked.rows[split]++;
    for (const label of gold.labels) asked.labels.add(label, split);
  }

  ofSource(name: string): number {
    return totalOf(this.sources.of(name));
  }

  get tasks(): data.Manifest['tasks'] {
    return tasks.flatMap((task) => {
      const asked = this.asked.get(task);
      if (!asked) return [];
      const labels = asked.labels.all.map(([label, rows]) => ({ label, rows }));
      return [{ task: taskMessage(task), rows: asked.rows, labels }];
    });
  }

  get languages(): data.LanguageCount[] {
    return this.tongues.all.map(([language, rows]) => ({ language, rows }));
  }

  /** With what each asks. */
  get licences(): data.LicenceCount[] {
    return [...this.sourcesOfLicence].map(([licence, sources]) => {
      const { obligations, known } = licenceTerms(licence);
      const rows = [...sources.values()].reduce((sum, n) => sum + n, 0);
      return { licence, rows, sources: [...sources.keys()], obligations: [...obligations], known };
    });
  }

  get licenceConflicts(): data.LicenceConflict[] {
    return licenceConflicts([...this.sourcesOfLicence.keys()]).map(({ licences, reason }) => ({
      licences: [...licences],
      reason,
    }));
  }
}
