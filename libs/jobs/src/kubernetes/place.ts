/** Which cluster, and where in it. */
import { readFileSync } from 'node:fs';
import type { Clock } from '@emotune/base';
import { KubeConfig } from '@kubernetes/client-node';
import { Api } from './api.js';
import { keepAgents } from './kept-agents.js';

/** The pod that this process is in. */
export interface OwnPod {
  readonly namespace: string;
  readonly name: string;
  /** What it calls the API server as. */
  readonly serviceAccount: { readonly name: string; readonly uid: string };
}

export interface ClusterPlace {
  readonly api: Api;
  readonly namespace: string;
}

export interface ClusterOptions {
  /** Default: as kubectl finds it, or that of the pod. */
  readonly config?: KubeConfig | undefined;
  /** Default: that of the pod, else of the kubeconfig. */
  readonly namespace?: string | undefined;
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** By the claims of the token that it is given; undefined where it is given none. */
export function ownPod(file = `${accountFolder}/token`): OwnPod | undefined {
  try {
    const [, claims] = readFileSync(file, 'utf8').split('.');
    const said = JSON.parse(Buffer.from(claims, 'base64url').toString())['kubernetes.io'];
    const { namespace, pod, serviceaccount } = said;
    return {
      namespace,
      name: pod.name,
      serviceAccount: { name: serviceaccount.name, uid: serviceaccount.uid },
    };
  } catch {
    return undefined;
  }
}

/** The namespace of this pod, or of the kubeconfig. */
function usualNamespace(config: KubeConfig): string {
  try {
    return readFileSync(`${accountFolder}/namespace`, 'utf8').trim();
  } catch {
    return config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  }
}

export function clusterPlace({ config: given, namespace }: ClusterOptions, clock: Clock): ClusterPlace {
  const config = given ?? new KubeConfig();
  if (!given) config.loadFromDefault();
  keepAgents(config);
  return { api: new Api(config, clock), namespace: namespace ?? usualNamespace(config) };
}
