import { type Client, credentials, Metadata, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Access, secretOfAttempt } from './access.js';
import { packageDefinition } from './contract.js';
import { EmotuneServer } from './server.js';
import { Health } from './testing.js';

const token = 'the-token-of-the-platform-in-full';
const access = new Access(token);
let server: EmotuneServer;
let client: Client;

beforeAll(async () => {
  // Before Nest has bound its controllers every method answers UNAVAILABLE: to whom it answers at all is the server's to say.
  server = await EmotuneServer.listen('127.0.0.1:0', access);
  client = new (makeGenericClientConstructor({}, ''))(server.address, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await server.close();
});

/** The status with which a method answers an empty message. */
function statusOf(path: string, authorization?: string): Promise<status> {
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  const bytes = (value: Buffer) => value;
  const call = client.makeBidiStreamRequest(path, bytes, bytes, metadata, { deadline: Date.now() + 60_000 });
  return new Promise((resolve) => {
    call.on('status', ({ code }) => resolve(code));
    call.on('error', () => {});
    call.on('data', () => {});
    call.end(Buffer.alloc(0));
  });
}

const methods = Object.values(packageDefinition).flatMap((service) =>
  Object.values(service).map(({ path }) => path),
);
const { UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE } = status;

describe.each(methods)('%s', (path) => {
  const forTrainers = path.startsWith('/emotune.tuning.v1.TrialService/');

  it.each([
    ['nothing', undefined],
    ['another token', `Bearer ${token}x`],
    ['an empty one', 'Bearer '],
    ['another scheme', `Basic ${token}`],
    [
      'a signature that is not its',
      `Bearer secret.${new Access(`${token}x`).trainerToken('secret').split('.')[1]}`,
    ],
    ["another attempt's signature", `Bearer other.${access.trainerToken('secret').split('.')[1]}`],
  ])('refuses who shows %s', async (_, shown) => {
    expect(await statusOf(path, shown)).toBe(UNAUTHENTICATED);
  });

  it('answers to whom it is for, a trainer or everybody else', async () => {
    const shown = [token, access.trainerToken('secret')];
    const found = await Promise.all(shown.map((each) => statusOf(path, `Bearer ${each}`)));
    expect(found).toEqual(forTrainers ? [UNAUTHENTICATED, UNAVAILABLE] : [UNAVAILABLE, PERMISSION_DENIED]);
  });
});

it('what there is to call is told to those who may call; health to everybody', async () => {
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  expect(await statusOf(path)).toBe(UNAUTHENTICATED);
  expect(await statusOf(path, `Bearer ${access.trainerToken('secret')}`)).toBe(PERMISSION_DENIED);
  expect(await statusOf(path, `Bearer ${token}`)).not.toBe(UNAUTHENTICATED);
  const health = new Health(server.address);
  expect(await health.check()).toBe('NOT_SERVING');
  health.close();
});

it("a trainer's token holds the secret of its attempt", () => {
  expect(secretOfAttempt(access.trainerToken('secret'))).toBe('secret');
  expect(new Access(undefined).trainerToken('secret')).toBe('secret');
});
