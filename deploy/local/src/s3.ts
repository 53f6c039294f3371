import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { component } from './component.js';
import { cache, freePorts, loopback, missingProgram, script } from './script.js';

/** Who calls an S3 server. */
export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A real S3 server on a free port. Its own keys may do everything. */
export interface S3 extends S3Keys, AsyncDisposable {
  readonly endpoint: string;
  /** Each object is a file in it: `<bucket>/<key>`. */
  readonly folder: string;
  /** Another user, who may do nothing in a bucket until a policy of the bucket says so. */
  user(accessKeyId: string): Promise<S3Keys>;
  /** Ends it; its objects stay. */
  halt(): Promise<void>;
  /** Starts it again on the same port with the same objects. */
  restart(): Promise<void>;
  /** Stops it and removes its objects. */
  stop(): Promise<void>;
}

const program = join(cache, 'bin', 'versitygw');

/** Why no S3 server can be started here. */
export function withoutS3(): string | undefined {
  if (existsSync(program)) return undefined;
  const missing = missingProgram('go');
  return missing && `the S3 server needs ${missing}, which is not on PATH`;
}

/** @param host an address of this machine */
export async function startS3({ host = loopback } = {}): Promise<S3> {
  const path = 's3/s3gw.sh';
  await script(path, ['build'], { BIN: program });
  const port = String(await freePorts(1, host));
  const [accessKeyId, secretAccessKey] = ['local-access', 'local-secret'];
  const { folder, call, stop } = await component({
    name: 's3',
    path,
    args: [port],
    environment: { BIN: program, HOST: host, S3_ACCESS: accessKeyId, S3_SECRET: secretAccessKey },
  });
  return {
    endpoint: `http://${host}:${port}`,
    accessKeyId,
    secretAccessKey,
    folder: join(folder, 'data'),
    user: async (name) => {
      const keys = { accessKeyId: name, secretAccessKey: `${name}-secret` };
      await call('user', keys.accessKeyId, keys.secretAccessKey);
      return keys;
    },
    halt: async () => void (await call('down')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
