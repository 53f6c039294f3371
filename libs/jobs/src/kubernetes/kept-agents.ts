/**
 * The client makes an agent for each request, and with it a connection and a TLS context. Here one serves for as long as the
 * next would be made of the same.
 */
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { KubeConfig } from '@kubernetes/client-node';

type Make = (...given: Parameters<KubeConfig['createDispatcherOptions']>) => object | undefined;

/** Until certificates, which may be renewed, or the cluster change. */
export function keepAgents(config: KubeConfig): void {
  // Not declared for others than itself.
  const own = config as unknown as { createDispatcher: Make };
  const make = own.createDispatcher.bind(config);
  const optionsOf = config.createDispatcherOptions.bind(config);
  config.createDispatcherOptions = (...given) => {
    const options = optionsOf(...given);
    if (options.type !== 'agent') return options;
    const secureContext = createSecureContext(options.connect);
    // Over HTTP/2 undici throws where nobody can catch it when a connection has been idle for a while.
    const connect = { ...options.connect, secureContext, allowH2: false } as typeof options.connect;
    return { ...options, connect };
  };
  let kept: { readonly options: object; readonly agent: object | undefined } | undefined;
  own.createDispatcher = (...given) => {
    const options = optionsOf(...given);
    if (!kept || !isDeepStrictEqual(options, kept.options)) kept = { options, agent: make(...given) };
    return kept.agent;
  };
}
