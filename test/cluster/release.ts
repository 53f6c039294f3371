/** The chart, installed on a cluster of this machine. */
import { fileURLToPath } from 'node:url';
import type { Local } from '@emotune/local';
import { Channel } from '@emotune/service';

export const chart = fileURLToPath(new URL('../../helm/emotune', import.meta.url));
export const models = fileURLToPath(new URL('../../models', import.meta.url));

export class Release {
  constructor(
    private readonly local: Local,
    readonly name: string,
  ) {}

  /** In its namespace. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.local.cluster.kubectl('-n', this.local.namespace, ...args);
  }

  /** In its namespace. */
  helm(...args: readonly string[]): Promise<string> {
    return this.local.cluster.helm(...args, '-n', this.local.namespace);
  }

  async list<T>(...args: readonly string[]): Promise<readonly T[]> {
    return (JSON.parse(await this.kubectl('get', ...args, '-o', 'json')) as { items: readonly T[] }).items;
  }

  /** A client as users have one: it reaches the services from outside, and shows the token that the chart has made. */
  async connect(): Promise<Channel> {
    const services = await this.list<{
      metadata: { labels: Record<string, string> };
      spec: { clusterIP: string; ports: { port: number }[] };
    }>('services', '-l', `app.kubernetes.io/instance=${this.name}`);
    const peers = Object.fromEntries(
      services.map(({ metadata, spec }) => [
        metadata.labels['app.kubernetes.io/component'],
        `${spec.clusterIP}:${spec.ports[0].port}`,
      ]),
    );
    const secret = `${this.name}-emotune-token`;
    const encoded = await this.kubectl('get', 'secret', secret, '-o', 'jsonpath={.data.token}');
    return Channel.toPeers(peers, { token: Buffer.from(encoded, 'base64').toString() });
  }

  /** What is in its namespace but what a namespace has of itself, sorted. */
  async left(): Promise<readonly string[]> {
    const { cluster } = this.local;
    const listed = ['--namespaced', '--verbs=list,delete', '-o', 'name'];
    const kinds = (await cluster.kubectl('api-resources', ...listed)).trim().split('\n').join(',');
    const names = (await this.kubectl('get', kinds, '-o', 'name', '--ignore-not-found')).trim().split('\n');
    return names
      .filter((name) => !/^(?:event|configmap\/kube-root-ca|serviceaccount\/default)/.test(name))
      .sort();
  }

  /** What whoever looks for the fault of a test wants to see, on stderr. */
  async tell(): Promise<void> {
    const said = [await this.kubectl('get', 'pods,jobs,events', '-o', 'wide')];
    for (const pod of (await this.kubectl('get', 'pods', '-o', 'name')).trim().split('\n'))
      said.push(`${pod}:`, await this.kubectl('logs', pod, '--tail', '40').catch(String));
    process.stderr.write(`${said.join('\n')}\n`);
  }
}
