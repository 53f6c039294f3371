/** Services as processes of their own: compiled, each with its environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Ended } from './platform-process.js';

export const areas = ['data', 'featurization', 'tuning', 'evaluation', 'inference'] as const;

export type Area = (typeof areas)[number];

/** The compiled program of a service, or of the trainer. */
export function programOf(name: Area | 'trainer'): string {
  return fileURLToPath(new URL(`../../services/${name}/dist/main.js`, import.meta.url));
}

export interface ServiceProcess {
  readonly child: ChildProcess;
  /** So far. */
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
}

export function beginService(area: Area, environment: Readonly<Record<string, string>>): ServiceProcess {
  const child = spawn(process.execPath, ['--trace-warnings', programOf(area)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  const ended = once(child, 'close').then(([code]) => ({ code, ...output }));
  return { child, output, ended };
}

/** Of this machine, each another. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}
