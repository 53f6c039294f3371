import { execFile, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { component } from './component.js';
import { missingProgram, script } from './script.js';

const run = promisify(execFile);

/**
 * `control`: etcd, API server, controller manager and scheduler, no node. `kwok`: and fake nodes, on which pods seem to run.
 * `node`: and one real node.
 */
export type ClusterLevel = 'control' | 'kwok' | 'node';

/** A real Kubernetes cluster on this machine. */
export interface Cluster extends AsyncDisposable {
  /** A file, of an administrator. */
  readonly kubeconfig: string;
  /** A folder with ca.key and ca.crt, by which it knows its parts. */
  readonly authority: string;
  /** A folder with kubectl and helm. */
  readonly programs: string;
  /** Its stdout. @throws with its stderr */
  kubectl(...args: readonly string[]): Promise<string>;
  helm(...args: readonly string[]): Promise<string>;
  /** Makes objects, or changes them. */
  apply(...objects: readonly object[]): Promise<void>;
  /** Imports archives of images into the real node. */
  images(...archives: readonly string[]): Promise<void>;
  /** Where its pods reach servers of this machine; there while the cluster is. */
  readonly address: string;
  /** Runs a program among those of the real node; its last line. */
  inNode(...command: readonly string[]): Promise<string>;
  /**
   * Kills one of its programs (kill -9): etcd, apiserver, controller-manager or scheduler; call what comes back to start it again.
   * Those of the real node (containerd, kubelet, kube-proxy, coredns) are started again by it: the call waits for that.
   */
  kill(program: string): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly fakeNodes?: number;
  /** `nvidia.com/gpu` of the real node, none of them real. */
  readonly gpus?: number;
}

/** The first process of the real node starts these again when they are killed. */
const programsOfNode: ReadonlySet<string> = new Set(['containerd', 'kubelet', 'kube-proxy', 'coredns']);

/** Why no images can be built here. */
export function withoutImages(): string | undefined {
  const missing = missingProgram('buildah', 'strip');
  return missing && `images need ${missing}, which is not on PATH`;
}

/** Why no cluster of the level can be started here. */
export function withoutCluster(level: ClusterLevel): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'a cluster needs Linux and root (an address on lo)';
  const programs = ['go', 'npm', 'openssl', 'unzip', 'ip'];
  if (level === 'node') programs.push('containerd', 'ctr', 'runc', 'iptables', 'conntrack');
  const missing = missingProgram(...programs);
  return missing && `a cluster of level ${level} needs ${missing}, which is not on PATH`;
}

export async function startCluster(
  level: ClusterLevel,
  { fakeNodes = 2, gpus = 0 }: ClusterOptions = {},
): Promise<Cluster> {
  const path = 'cluster/cluster.sh';
  const programs = await script(path, ['build', level]);
  const {
    folder,
    said: kubeconfig,
    call: cluster,
    stop: end,
  } = await component({
    name: 'cluster',
    path,
    up: [level],
    environment: { KWOK_NODES: String(fakeNodes), NODE_GPUS: String(gpus) },
  });
  const [net] = (await readFile(join(folder, '.cluster'), 'utf8')).split(' ');
  const call =
    (program: string) =>
    async (...args: readonly string[]): Promise<string> => {
      const { stdout } = await run(join(programs, program), args, {
        env: { ...process.env, KUBECONFIG: kubeconfig, HOME: dirname(folder) },
        maxBuffer: 1 << 28,
      });
      return stdout;
    };
  const kubectl = call('kubectl');
  const apply = async (...objects: readonly object[]) => {
    const file = join(folder, 'objects.json');
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    await kubectl('apply', '--server-side', '-f', file);
  };
  let stopped = false;
  const stop = () => {
    stopped = true;
    return end();
  };
  const inNode = (...command: readonly string[]) => cluster('in-node', ...command);
  const killInNode = async (name: string) => {
    const pid = () => inNode('pgrep', '-o', '-x', name).catch(() => '');
    const killed = await pid();
    await inNode('kill', '-9', killed);
    return async () => {
      for (let now = killed; now === killed || now === ''; now = await pid()) await sleep(100);
    };
  };
  const kill = async (name: string) => {
    if (programsOfNode.has(name)) return killInNode(name);
    const file = join(folder, 'pid', name);
    const pid = Number(await readFile(file, 'utf8'));
    const [program, ...args] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    process.kill(pid, 'SIGKILL');
    const start = async () => {
      const child = spawn(program, args, { detached: true, stdio: 'ignore' });
      child.unref();
      // As a kubelet would: some end where the API server is not there when they start.
      child.once('exit', async (code) => {
        if (code === null || code === 0 || stopped) return;
        await sleep(1_000);
        if (!stopped) await start();
      });
      await writeFile(file, String(child.pid));
    };
    return start;
  };
  return {
    kubeconfig,
    authority: join(folder, 'pki'),
    programs,
    kubectl,
    helm: call('helm'),
    apply,
    images: async (...archives) => void (await cluster('image', ...archives)),
    address: `${net}.79.1`,
    inNode,
    kill,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
