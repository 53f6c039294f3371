/** Where the API server has what the runner uses. */
export type Kind = 'jobs' | 'pods' | 'secrets' | 'events';

export function pathOf(namespace: string, kind: Kind, name?: string): string {
  const group = kind === 'jobs' ? '/apis/batch/v1' : '/api/v1';
  return `${group}/namespaces/${namespace}/${kind}${name === undefined ? '' : `/${name}`}`;
}
