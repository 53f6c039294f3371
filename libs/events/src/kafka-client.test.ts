import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { socketTo } from './kafka-client.js';

it('a socket to a broker that is away waits for nothing, however often it is let go of', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const socket = socketTo({ host: '127.0.0.1', port, ssl: undefined as never, onConnect: () => {} });
  await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
  const waiting = socket.listenerCount('connect');
  // As a connection of kafkajs ends.
  for (let i = 0; i < 20; i++) socket.end().unref();
  expect(socket.listenerCount('connect')).toBe(waiting);
});
