/** The servers that users name: one that holds every service, or one an area, as the services of a cluster are. */
import { InvalidArgument, show } from '@emotune/base';
import { byAreaOf, type CallerOptions, Channel, type Server, Tls } from '@emotune/service/client';
import type { Io } from './io.js';

export interface Servers {
  /** host:port of each. */
  readonly addresses: readonly string[];
  connect(options: CallerOptions): Channel;
}

export function oneServer({ address, tls }: Server): Servers {
  return { addresses: [address], connect: (options) => Channel.connect(address, { ...options, tls }) };
}

/** https:// means TLS, http:// none; with neither TLS is meant where a CA was named. Undefined where it is no address. */
function serverReader(env: Io['env']): (text: string) => Server | undefined {
  let known: Tls | undefined;
  const tls = () => (known ??= Tls.files(env, env['EMOTUNE_TLS_SERVER_NAME'] || undefined));
  return (text) => {
    const [, scheme, host, port] =
      /^(https?:\/\/)?(\[[\da-f:]+\]|[^\s:/=,]+)(?::(\d{1,5}))?\/?$/i.exec(text) ?? [];
    const secure =
      scheme === undefined ? Boolean(env['EMOTUNE_TLS_CA_FILE']) : scheme.toLowerCase() === 'https://';
    if (host === undefined || (port === undefined && !(scheme && secure))) return undefined;
    if (Number(port ?? 443) > 65_535) return undefined;
    return { address: `${host}:${port ?? 443}`, tls: secure ? tls() : undefined };
  };
}

/**
 * `HOST:PORT`, or `area=HOST:PORT,area=HOST:PORT`, each with https:// or http:// before it or without.
 * @param name of the option or variable
 * @throws InvalidArgument naming it, or a variable of TLS
 */
export function serversOf(text: string, name: string, env: Io['env']): Servers {
  const read = serverReader(env);
  if (!text.includes('=')) {
    const server = read(text);
    if (server) return oneServer(server);
    throw InvalidArgument.at(
      name,
      `expected HOST:PORT such as 127.0.0.1:50051, https://HOST:PORT, or area=HOST:PORT,…, got ${show(text)}`,
    );
  }
  const { found, faults } = byAreaOf(text, read, 'HOST:PORT or https://HOST:PORT');
  if (faults.length > 0)
    throw new InvalidArgument(
      faults.map((fault) => ({ field: name, description: `${fault}, got ${show(text)}` })),
    );
  return {
    addresses: [...new Set(Object.values(found).map(({ address }) => address))],
    connect: (options) =>
      Channel.toServers(found, options, (area) =>
        InvalidArgument.at(name, `expected ${area}=HOST:PORT, which this command calls, got ${show(text)}`),
      ),
  };
}
