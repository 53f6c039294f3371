/** Which cluster, and where in it. */
import { readFileSync } from 'node:fs';
import type { Clock } from '@emotune/base';
import { KubeConfig } from '@kubernetes/client-node';
import { Api } from './api.js';
import { keepAgents } from './kept-agents.js';

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

/** The namespace of this pod, or of the kubeconfig. */
function usualNamespace(config: KubeConfig): string {
  try {
    return readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8').trim();
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
