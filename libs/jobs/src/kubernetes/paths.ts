/** Where the API server has what is used of it. */
export type Kind = 'jobs' | 'pods' | 'secrets' | 'events' | 'leases';

const groups: Partial<Record<Kind, string>> = {
  jobs: '/apis/batch/v1',
  leases: '/apis/coordination.k8s.io/v1',
};

export function pathOf(namespace: string, kind: Kind, name?: string): string {
  const group = groups[kind] ?? '/api/v1';
  return `${group}/namespaces/${namespace}/${kind}${name === undefined ? '' : `/${name}`}`;
}
