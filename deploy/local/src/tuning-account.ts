import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from './cluster.js';

const chart = fileURLToPath(new URL('../../../helm/emotune', import.meta.url));
const release = 'rights';

/** The service account of `tuningAccount`. */
export const tuningAccountName = `${release}-emotune-tuning`;

/** A kubeconfig of who has in the namespace what the chart gives tuning there, and nothing more, for six hours. */
export async function tuningAccount(cluster: Cluster, namespace: string): Promise<string> {
  const own = (name: string) => join(dirname(cluster.kubeconfig), `${namespace}-tuning.${name}`);
  const place = ['--namespace', namespace];
  const values = ['--values', join(chart, 'ci/minimal-values.yaml'), '--show-only', 'templates/rbac.yaml'];
  await writeFile(own('yaml'), await cluster.helm('template', release, chart, ...place, ...values));
  await cluster.kubectl('apply', '--filename', own('yaml'));
  await cluster.kubectl('create', 'serviceaccount', tuningAccountName, ...place);
  const token = (
    await cluster.kubectl('create', 'token', tuningAccountName, ...place, '--duration=6h')
  ).trim();
  const ofAdministrator = await readFile(cluster.kubeconfig, 'utf8');
  const user = `users: [{name: u, user: {token: ${token}}}]`;
  await writeFile(own('kubeconfig'), ofAdministrator.replace(/^users: .*$/m, user), { mode: 0o600 });
  return own('kubeconfig');
}
