import { systemClock } from '@emotune/base';
import { codecOf, messageType } from '@emotune/proto';
import { type Client, credentials, Metadata, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Access, resourceOf, secretOfGuest } from './access.js';
import { packageDefinition } from './contract.js';
import { Oidc } from './oidc.js';
import { neededFor, type Role, roles, suffices } from './roles.js';
import { EmotuneServer } from './server.js';
import { TestIssuer } from './test-issuer.js';
import { Health } from './testing.js';
import { bindingsIn, roleIn, Users } from './users.js';

const token = 'the-token-of-the-platform-in-full';
const bindings = bindingsIn(`
viewer: {groups: [readers]}
editor: {users: [eve], groups: [writers]}
admin: {users: [ada]}`);
const access = (over: object = {}) => new Access({ token, ...over });
const logged: Record<string, unknown>[] = [];
const note = (_message: string, fields: object = {}) => void logged.push({ ...fields });
let now = 0;
const clock = { ...systemClock, now: () => now };
let issuer: TestIssuer;
let stranger: TestIssuer;
let server: EmotuneServer;
let client: Client;
/** By what it is. */
let shown: Record<string, string>;

beforeAll(async () => {
  [issuer, stranger] = await Promise.all([TestIssuer.start(), TestIssuer.start()]);
  const oidc = new Oidc({ issuer: issuer.url, audience: 'emotune', userClaim: 'sub', groupsClaim: 'groups' });
  const users = new Users([oidc], { roleOf: (user) => roleIn(bindings, user) });
  const log = { info: note, warn: note, error: note };
  // Before Nest has bound its controllers every method answers UNAVAILABLE: to whom it answers at all is the server's to say.
  server = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: access({ users, log, clock }) });
  client = new (makeGenericClientConstructor({}, ''))(server.address, credentials.createInsecure());
  const reader = { sub: 'ray', groups: ['readers'] };
  const secret = new TextEncoder().encode('one that both sides would have to know');
  const own = { issuer: issuer.url, audience: 'emotune' };
  shown = {
    viewer: await issuer.token(reader),
    editor: await issuer.token({ sub: 'wim', groups: ['writers', 'readers'] }),
    admin: await issuer.token({ sub: 'ada' }),
    'no role': await issuer.token({ sub: 'ann', groups: ['others'] }),
    'an expired one': await issuer.token({ sub: 'ada' }, { seconds: -60 }),
    'one for another audience': await issuer.token({ sub: 'ada' }, { audience: 'another' }),
    'one of another issuer': await stranger.token({ sub: 'ada' }),
    'one that another has signed': await stranger.token({ sub: 'ada' }, { issuer: issuer.url }),
    'one without a signature': new UnsecuredJWT({ sub: 'ada' })
      .setIssuer(own.issuer)
      .setAudience(own.audience)
      .setExpirationTime('1h')
      .encode(),
    'one signed by a shared secret': await new SignJWT({ sub: 'ada' })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(own.issuer)
      .setAudience(own.audience)
      .setExpirationTime('1h')
      .sign(secret),
    'one without a name': await issuer.token({}),
  };
});
afterAll(async () => {
  client.close();
  await server.close();
  issuer.close();
  stranger.close();
});

/** The status with which a method answers an empty message. */
function answer(
  path: string,
  authorization?: string,
  message: Buffer = Buffer.alloc(0),
): Promise<{ code: status; details: string }> {
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  const bytes = (value: Buffer) => value;
  const call = client.makeBidiStreamRequest(path, bytes, bytes, metadata, { deadline: Date.now() + 60_000 });
  return new Promise((resolve) => {
    call.on('status', resolve);
    call.on('error', () => {});
    call.on('data', () => {});
    call.end(message);
  });
}

async function statusOf(path: string, authorization?: string): Promise<status> {
  return (await answer(path, authorization)).code;
}

const methods = Object.values(packageDefinition).flatMap((service) =>
  Object.values(service).map(({ path }) => path),
);
const { UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE } = status;

describe.each(methods)('%s', (path) => {
  const guest = path.startsWith('/emotune.tuning.v1.TrialService/')
    ? 'trainer'
    : path.startsWith('/emotune.evaluation.v1.RaterService/')
      ? 'rater'
      : undefined;

  it.each([
    ['nothing', undefined],
    ['another token', `Bearer ${token}x`],
    ['an empty one', 'Bearer '],
    ['another scheme', `Basic ${token}`],
    [
      'a signature that is not its',
      `Bearer secret.${new Access({ token: `${token}x` }).guestToken('trainer', 'secret').split('.')[1]}`,
    ],
    ["another attempt's signature", `Bearer other.${access().guestToken('trainer', 'secret').split('.')[1]}`],
  ])('refuses who shows %s', async (_, header) => {
    expect(await statusOf(path, header)).toBe(UNAUTHENTICATED);
  });

  it('refuses tokens of users that are not accepted', async () => {
    const refused = Object.keys(shown).filter((name) => / one|^one/.test(name));
    expect(refused.length).toBe(7);
    for (const name of refused)
      expect([name, await statusOf(path, `Bearer ${shown[name]}`)]).toEqual([name, UNAUTHENTICATED]);
  });

  it('answers to whom it is for, a trainer, a rater or everybody else', async () => {
    const guests = (['trainer', 'rater'] as const).map((each) => access().guestToken(each, 'secret'));
    const found = await Promise.all([token, ...guests].map((each) => statusOf(path, `Bearer ${each}`)));
    expect(found).toEqual([
      guest === undefined ? UNAVAILABLE : UNAUTHENTICATED,
      guest === 'trainer' ? UNAVAILABLE : PERMISSION_DENIED,
      guest === 'rater' ? UNAVAILABLE : PERMISSION_DENIED,
    ]);
  });

  it('has a role, which is enough where it is held', async () => {
    const needed = neededFor(path);
    for (const role of ['no role', ...roles] as const) {
      const { code, details } = await answer(path, `Bearer ${shown[role]}`);
      if (guest !== undefined) expect([role, code]).toEqual([role, UNAUTHENTICATED]);
      else if (role !== 'no role' && suffices(role, needed as Role))
        expect([role, code]).toEqual([role, UNAVAILABLE]);
      else {
        expect([role, code]).toEqual([role, PERMISSION_DENIED]);
        expect(details).toContain(`${path.slice(1)} needs the role ${needed}, and`);
      }
    }
  });
});

it('every method has a role of its own accord', () => {
  // What is not in the table needs the highest.
  expect(neededFor('/emotune.data.v1.DatasetService/NewMethod')).toBe('admin');
  expect(methods.filter((path) => neededFor(path) === 'admin').map((path) => path.split('/')[2])).toEqual(
    expect.arrayContaining(['CollectGarbage']),
  );
  for (const path of methods) {
    const [, , method] = path.split('/');
    const reads = /^(Get|List|Watch|Preview|Read|Compare|Explain|Estimate|Download|Analyze)/.test(method);
    if (!/TrialService|RaterService/.test(path))
      expect([method, neededFor(path) === 'viewer']).toEqual([method, reads]);
  }
});

it('says why, and what to do', async () => {
  const path = '/emotune.data.v1.DatasetService/ListDatasets';
  const say = async (name: string) => (await answer(path, `Bearer ${shown[name]}`)).details;
  expect(await say('an expired one')).toMatch(/^the token has expired at .*: get a new one from http/);
  expect(await say('one for another audience')).toContain('expected a token for the audience emotune');
  expect(await say('one that another has signed')).toContain('by a key it does not have');
  expect(await say('one of another issuer')).toContain('of an issuer that is known here');
  expect(await say('no role')).toContain('needs the role viewer, and ann has no role here: ask');
});

it('calls that change something stand in the log, by whom and with what came of it; tokens never', async () => {
  logged.length = 0;
  now += 60_000;
  const path = '/emotune.tuning.v1.ExperimentService/CancelExperiment';
  const { encode } = codecOf(messageType('emotune.tuning.v1.CancelExperimentRequest'));
  const named = encode({ name: 'run' });
  await answer(path, `Bearer ${shown['editor']}`, named);
  for (let tries = 0; tries < 3; tries++) await answer(path, `Bearer ${shown['viewer']}`, named);
  now += 60_000;
  await answer(path, `Bearer ${shown['viewer']}`, named);
  await answer(path, `Bearer ${token}`);
  await answer(path.replace('Cancel', 'Get'), `Bearer ${token}`, named);
  expect(logged).toEqual(
    [
      ['wim', 'run', 'UNAVAILABLE'],
      // Not of each try: once a minute.
      ['ray', '', 'PERMISSION_DENIED'],
      ['ray', '', 'PERMISSION_DENIED'],
      ['platform', '', 'UNAVAILABLE'],
    ].map(([subject, resource, code]) => ({ subject, method: path.slice(1), resource, code })),
  );
  expect(resourceOf({ name: 'a' })).toBe('a');
  expect(resourceOf({ spec: { name: 'b', seed: 1 }, requestId: 'c' })).toBe('b');
  expect(resourceOf({ header: { sha256: 'd' } })).toBe('d');
  expect(resourceOf({ name: '', spec: null })).toBe('');
});

it('what there is to call is told to those who may call; health to everybody', async () => {
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  expect(await statusOf(path)).toBe(UNAUTHENTICATED);
  expect(await statusOf(path, `Bearer ${access().guestToken('trainer', 'secret')}`)).toBe(PERMISSION_DENIED);
  expect(await statusOf(path, `Bearer ${shown['no role']}`)).toBe(PERMISSION_DENIED);
  for (const each of [token, shown['viewer']])
    expect([UNAUTHENTICATED, PERMISSION_DENIED]).not.toContain(await statusOf(path, `Bearer ${each}`));
  const health = new Health(server.address);
  expect(await health.check()).toBe('NOT_SERVING');
  health.close();
});

it('what changes nothing, and what strangers try, fills no log', async () => {
  const notes: string[] = [];
  const write = (message: string) => void notes.push(message);
  const open = await EmotuneServer.listen({
    listen: '127.0.0.1:0',
    access: new Access({ log: { info: write, warn: write, error: write } }),
  });
  const health = new Health(open.address);
  expect(await health.check()).toBe('NOT_SERVING');
  health.close();
  await open.close();
  logged.length = 0;
  for (const path of [
    '/grpc.health.v1.Health/Check',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    '/emotune.tuning.v1.ExperimentService/NoMethod',
  ])
    await answer(path, `Bearer ${token}`);
  for (const header of [undefined, 'Bearer another', `Bearer ${shown['an expired one']}`])
    await answer('/emotune.tuning.v1.ExperimentService/CancelExperiment', header);
  expect([...notes, ...logged]).toEqual([]);
});

it("a trainer's token holds the secret of its attempt", () => {
  expect(secretOfGuest(access().guestToken('trainer', 'secret'))).toBe('secret');
  expect(new Access({}).guestToken('trainer', 'secret')).toBe('secret');
});
