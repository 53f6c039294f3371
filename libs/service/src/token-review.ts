/** Users of a Kubernetes cluster, by the tokens of its service accounts and users, which its API server is asked about. */
import { sha256, Unauthenticated, Unavailable } from '@emotune/base';
import type { AuthenticationV1Api } from '@kubernetes/client-node';
import type { Issuer, User } from './users.js';

/** An answer counts for so long: a token that is taken back serves no longer than that. */
const keepMs = 60_000;
const refusalKeepMs = 5000;
const mostKept = 1000;

interface Kept {
  readonly until: number;
  readonly answer: Promise<User>;
}

export class TokenReviews implements Issuer {
  private readonly kept = new Map<string, Kept>();

  /** @param audience that tokens are for, so that none can be used against the API server itself */
  constructor(
    private readonly api: Pick<AuthenticationV1Api, 'createTokenReview'>,
    private readonly audience: string,
  ) {}

  /** By the cluster that this process runs in, or the kubeconfig. */
  static async open(audience: string): Promise<TokenReviews> {
    const { AuthenticationV1Api, KubeConfig } = await import('@kubernetes/client-node');
    const { keepAgents } = await import('@emotune/jobs/kubernetes');
    const config = new KubeConfig();
    config.loadFromDefault();
    keepAgents(config);
    return new TokenReviews(config.makeApiClient(AuthenticationV1Api), audience);
  }

  knows(): boolean {
    return true;
  }

  /** Asks once for what many show at a time. */
  user(token: string): Promise<User> {
    const key = sha256(token);
    const now = performance.now();
    const known = this.kept.get(key);
    if (known && known.until > now) return known.answer;
    const answer = this.ask(token);
    this.kept.delete(key);
    if (this.kept.size >= mostKept) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(key, { until: now + keepMs, answer });
    answer.catch((error) => {
      const keep = error instanceof Unauthenticated ? refusalKeepMs : 0;
      if (this.kept.get(key)?.answer === answer)
        this.kept.set(key, { until: performance.now() + keep, answer });
    });
    return answer;
  }

  private async ask(token: string): Promise<User> {
    const { audience } = this;
    const { status } = await this.api
      .createTokenReview({ body: { spec: { token, audiences: [audience] } } })
      .catch((cause) => {
        const why = cause?.code === 403 ? 'this service may not create tokenreviews' : 'it does not answer';
        throw new Unavailable(`the Kubernetes API cannot be asked about tokens now: ${why}`, { cause });
      });
    const name = status?.user?.username;
    if (!status?.authenticated || !name || !status.audiences?.includes(audience))
      throw new Unauthenticated(
        `expected a token of the cluster for the audience ${audience} that has not expired, got another; \`kubectl create token NAME --audience ${audience}\` makes one`,
      );
    return { name, groups: status.user?.groups ?? [] };
  }
}
