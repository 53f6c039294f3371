/** What a running platform says of itself in its data folder, so that other commands find it. */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { isAlive } from '@emotune/base';
import { z } from 'zod';

export const recordFile = 'platform.json';

const platformRecord = z.object({ address: z.string().regex(/^.+:\d+$/), pid: z.int() });

export type PlatformRecord = z.infer<typeof platformRecord>;

function recordOf(text: string): PlatformRecord | undefined {
  try {
    return platformRecord.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

const probeMs = 1000;

function listens(address: string): Promise<boolean> {
  const colon = address.lastIndexOf(':');
  return new Promise((settle) => {
    const socket = connect({
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      timeout: probeMs,
    });
    const end = (answer: boolean) => {
      socket.destroy();
      settle(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** The host:port of the platform that serves the data folder now. A record whose platform was killed counts for nothing. */
export async function runningPlatform(dataDir: string): Promise<string | undefined> {
  const text = await readFile(join(dataDir, recordFile), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record = recordOf(text);
  if (record === undefined || !isAlive(record.pid)) return undefined;
  return (await listens(record.address)) ? record.address : undefined;
}
