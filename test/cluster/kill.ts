/** What can be killed of a cluster with EmoTune on it, and how it comes back. */
import { Rng, systemClock } from '@emotune/base';
import type { Local } from '@emotune/local';
import { until } from '../e2e/platform-process.js';
import type { Release } from './release.js';

/** Kills it and has it started again, where nothing else does. False: there is none of it now. */
type Kill = () => Promise<boolean>;

/** Something that is started again stays away for so long at most. */
const longestOutageMs = 5_000;
const areas = ['data', 'featurization', 'tuning', 'evaluation', 'inference'];
const ofKubernetes = ['apiserver', 'etcd', 'controller-manager', 'scheduler', 'kubelet', 'kube-proxy'];

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: { readonly containerStatuses?: readonly { readonly containerID?: string }[] };
}

/** By what is killed. @param rng Of which pod, and how long it stays away. */
export function killsOf(
  { cluster, kafka, postgres, s3 }: Local,
  release: Release,
  rng: Rng,
): ReadonlyMap<string, Kill> {
  const victim = async (selector: string): Promise<Pod | undefined> => {
    const pods = await release.list<Pod>('pods', '-l', selector, '--field-selector=status.phase=Running');
    return pods.length === 0 ? undefined : pods[rng.int(pods.length)];
  };
  const removed = (selector: string): Kill => {
    return async () => {
      const pod = await victim(selector);
      if (!pod) return false;
      await release.kubectl(
        'delete',
        'pod',
        pod.metadata.name,
        '--grace-period=0',
        '--force',
        '--wait=false',
      );
      return true;
    };
  };
  const ended = (selector: string): Kill => {
    return async () => {
      const container = (await victim(selector))?.status.containerStatuses?.[0].containerID;
      if (container === undefined) return false;
      const id = container.replace('containerd://', '');
      const kill = ['ctr', '-n', 'k8s.io', 'tasks', 'kill', '--signal', 'SIGKILL', id];
      // One that has just ended is none.
      return cluster.inNode(...kill).then(
        () => true,
        () => false,
      );
    };
  };
  const away = (kill: () => Promise<() => Promise<void>>): Kill => {
    return async () => {
      const restart = await kill();
      await systemClock.sleep(rng.int(longestOutageMs));
      await restart();
      await until('the API server answers', () =>
        cluster.kubectl('get', '--raw', '/readyz').catch(() => undefined),
      );
      return true;
    };
  };
  const component = (name: string) =>
    `app.kubernetes.io/instance=${release.name},app.kubernetes.io/component=${name}`;
  const trainer = 'emotune.io/experiment';
  return new Map([
    ...areas.flatMap((area): [string, Kill][] => [
      [`pod of ${area}`, removed(component(area))],
      [`process of ${area}`, ended(component(area))],
    ]),
    ['pod of a trial', removed(trainer)],
    ['process of a trial', ended(trainer)],
    ['Kafka', away(() => kafka.kill().then(() => kafka.restart))],
    ['PostgreSQL', away(() => postgres.kill().then(() => postgres.restart))],
    ['S3', away(() => s3.halt().then(() => s3.restart))],
    ...ofKubernetes.map((program): [string, Kill] => [program, away(() => cluster.kill(program))]),
  ]);
}

/** So many, each kind as often as the others, in an order of chance. */
export function scheduleOf(kinds: readonly string[], count: number, rng: Rng): readonly string[] {
  const schedule: string[] = [];
  while (schedule.length < count) {
    const round = [...kinds];
    while (round.length > 0) schedule.push(...round.splice(rng.int(round.length), 1));
  }
  return schedule.slice(0, count);
}
