import { Unauthenticated } from '@emotune/base';
import { type Cluster, startCluster, withoutCluster } from '@emotune/local';
import { AuthenticationV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenReviews } from './token-review.js';
import { bindingsIn, roleIn } from './users.js';

const missing = withoutCluster('control');
if (missing) process.stderr.write(`skipped: reviews of tokens by a real API server: ${missing}\n`);

describe.skipIf(missing !== undefined)('tokens of a real cluster', () => {
  let cluster: Cluster;
  let reviews: TokenReviews;
  beforeAll(async () => {
    cluster = await startCluster('control');
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    reviews = new TokenReviews(config.makeApiClient(AuthenticationV1Api), 'emotune');
    await cluster.kubectl('create', 'namespace', 'team-a');
    await cluster.kubectl('create', 'serviceaccount', 'ci', '-n', 'team-a');
  });
  afterAll(() => cluster?.stop());

  async function token(...more: string[]): Promise<string> {
    return (await cluster.kubectl('create', 'token', 'ci', '-n', 'team-a', ...more)).trim();
  }

  it('name their service account, with the group of its namespace, to which a role is bound', async () => {
    const user = await reviews.user(await token('--audience', 'emotune'));
    expect(user.name).toBe('system:serviceaccount:team-a:ci');
    expect(roleIn(bindingsIn('editor: {groups: ["system:serviceaccounts:team-a"]}'), user)).toBe('editor');
  });

  it('that are for the API server, of nobody, or of an account that is gone are refused', async () => {
    const early = await token('--audience', 'emotune');
    for (const shown of [await token(), `${early}x`, 'x'.repeat(40)])
      await expect(reviews.user(shown)).rejects.toBeInstanceOf(Unauthenticated);
    await cluster.kubectl('delete', 'serviceaccount', 'ci', '-n', 'team-a');
    await expect.poll(() => reviews.user(early).catch((error) => error)).toBeInstanceOf(Unauthenticated);
  });

  it('an API server that does not let the service ask says so', async () => {
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    await cluster.kubectl('create', 'serviceaccount', 'stranger', '-n', 'team-a');
    const shown = (await cluster.kubectl('create', 'token', 'stranger', '-n', 'team-a')).trim();
    const [{ server, caData, caFile }] = config.clusters;
    config.loadFromClusterAndUser({ name: 'here', server, caData, caFile } as never, {
      name: 'stranger',
      token: shown,
    });
    const denied = new TokenReviews(config.makeApiClient(AuthenticationV1Api), 'emotune');
    await expect(denied.user(shown)).rejects.toThrow('may not create tokenreviews');
  });
});
