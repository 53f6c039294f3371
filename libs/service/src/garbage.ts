/** Which folders of the object store nothing needs any more: a function of what the services say that they have. Pure. */

interface KnownBuild {
  /** Folder of what is ready; empty while it is built. */
  readonly prefix: string;
  readonly built: boolean;
}

/** What the services have. */
export interface Known {
  readonly datasets: ReadonlyMap<string, KnownBuild>;
  readonly featureSets: ReadonlyMap<string, KnownBuild & { readonly dataset: string }>;
  /** Folders of model versions, with those of the base models of adapters. */
  readonly models: ReadonlySet<string>;
  /** Names, and whether they have ended. */
  readonly experiments: ReadonlyMap<string, { readonly ended: boolean; readonly features: string }>;
  /** Ids. */
  readonly evaluations: ReadonlySet<string>;
}

/** Parts of a key that are needed or not as one, by its first. */
const depths: Readonly<Record<string, number>> = {
  datasets: 3,
  features: 3,
  models: 3,
  exports: 3,
  evaluations: 2,
  trials: 2,
  logs: 2,
};

/** The folder that an object is kept or removed with; undefined for what is not collected. */
export function folderOf(key: string): string | undefined {
  const parts = key.split('/');
  const depth = Object.hasOwn(depths, parts[0]) ? depths[parts[0]] : Infinity;
  return parts.length > depth ? parts.slice(0, depth).join('/') : undefined;
}

const isGone = (what: string) => `its ${what} is gone`;

/** Why nothing needs a folder, or undefined. */
export function whyUnneeded(folder: string, known: Known): string | undefined {
  const [kind, name, version] = folder.split('/');
  switch (kind) {
    case 'datasets': {
      const set = known.datasets.get(name);
      if (!set) return isGone('data set');
      // What was made of it tells where it came from.
      const used = [...known.featureSets.values()].some(({ dataset }) => dataset === name);
      return !set.built || set.prefix === folder || used ? undefined : 'its data set has another version now';
    }
    case 'features': {
      const set = known.featureSets.get(name);
      const used = [...known.experiments.values()].some(({ ended, features }) => !ended && features === name);
      if (used) return undefined;
      if (!set) return isGone('feature set');
      return !set.built || set.prefix === folder ? undefined : 'its feature set has another version now';
    }
    case 'models':
      return known.models.has(folder) ? undefined : isGone('model version');
    case 'exports':
      return known.models.has(`models/${name}/${version}`) ? undefined : isGone('model version');
    case 'evaluations':
      return known.evaluations.has(name) ? undefined : isGone('evaluation');
    case 'trials': {
      const experiment = known.experiments.get(name);
      if (!experiment) return isGone('experiment');
      return experiment.ended ? 'its experiment has ended' : undefined;
    }
    case 'logs':
      return known.experiments.has(name) ? undefined : isGone('experiment');
    default:
      return undefined;
  }
}
