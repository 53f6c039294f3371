import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, Unauthenticated, Unavailable } from '@emotune/base';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Oidc } from './oidc.js';
import { TestIssuer } from './test-issuer.js';
import { TokenReviews } from './token-review.js';
import { bindingsIn, RolesFile, roleIn } from './users.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-users-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const silent = { info: () => {}, warn: () => {}, error: () => {} };

describe('roles', () => {
  const bindings = bindingsIn(`
admin: {users: [ada], groups: [leads]}
editor: {groups: ['system:serviceaccounts:team-a']}
viewer: {users: ['*']}`);

  it.each([
    ['ada', [], 'admin'],
    ['lea', ['leads'], 'admin'],
    ['system:serviceaccount:team-a:ci', ['system:serviceaccounts:team-a'], 'editor'],
    ['anyone', ['leads '], 'viewer'],
  ])('the highest counts: %s of %j is %s', (name, groups, role) => {
    expect(roleIn(bindings, { name, groups })).toBe(role);
  });

  it('who has none, has none', () => {
    expect(roleIn(bindingsIn(''), { name: 'ada', groups: ['*'] })).toBeUndefined();
  });

  it.each([
    ['owner: {users: [a]}', 'owner'],
    ['admin: {user: [a]}', 'admin.user'],
    ['admin: {users: a}', 'admin.users'],
    ['admin: [', 'expected YAML'],
  ])('a wrong file is refused by the field: %s', (text, field) => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, text);
    const open = () => new RolesFile(file, silent);
    expect(open).toThrow(InvalidArgument);
    expect(open).toThrow('EMOTUNE_ROLES_FILE');
    expect(open).toThrow(field);
  });

  it('are read again when the file changes; a wrong file leaves those before', async () => {
    const file = join(folder, 'roles.yaml');
    const ada = { name: 'ada', groups: [] };
    writeFileSync(file, 'viewer: {users: [ada]}');
    const told: string[] = [];
    const roles = new RolesFile(file, { ...silent, error: (message) => void told.push(message) });
    expect(roles.roleOf(ada)).toBe('viewer');
    writeFileSync(file, 'admin: {users: [ada]}');
    await expect.poll(() => roles.roleOf(ada), { timeout: 20_000 }).toBe('admin');
    writeFileSync(file, 'admin: 1');
    await expect
      .poll(() => [roles.roleOf(ada), told], { timeout: 20_000 })
      .toEqual(['admin', ['the roles cannot be read: those before stay']]);
  });
});

describe('OpenID Connect', () => {
  let issuer: TestIssuer;
  const oidc = (over: object = {}) =>
    new Oidc({
      ...{ issuer: issuer.url, audience: 'emotune', userClaim: 'sub', groupsClaim: 'groups', cooldownMs: 0 },
      ...over,
    });
  beforeEach(async () => {
    issuer = await TestIssuer.start();
  });
  afterEach(() => issuer.close());

  it('asks for keys once, and again when the issuer signs with a new one', async () => {
    const users = oidc();
    const token = await issuer.token({ sub: 'ada', groups: ['leads', 7] });
    const both = await Promise.all([users.user(token), users.user(token)]);
    expect(both).toEqual(new Array(2).fill({ name: 'ada', groups: ['leads'] }));
    await users.user(token);
    expect(issuer.keyRequests).toBe(1);
    await issuer.rotate();
    expect(await users.user(await issuer.token({ sub: 'bob' }))).toEqual({ name: 'bob', groups: [] });
    expect(issuer.keyRequests).toBe(2);
    await expect(users.user(token)).rejects.toBeInstanceOf(Unauthenticated);
  });

  it('does not ask again for every key that a stranger names', async () => {
    const users = oidc({ cooldownMs: 60_000 });
    await users.user(await issuer.token({ sub: 'ada' }));
    const stranger = await TestIssuer.start();
    for (let i = 0; i < 3; i++) {
      await stranger.rotate();
      const forged = await stranger.token({ sub: 'ada' }, { issuer: issuer.url });
      await expect(users.user(forged)).rejects.toBeInstanceOf(Unauthenticated);
    }
    stranger.close();
    expect(issuer.keyRequests).toBe(1);
  });

  it('takes name and groups from the claims that are named', async () => {
    const users = oidc({ userClaim: 'email', groupsClaim: 'roles' });
    const claims = { sub: '1', email: 'ada@example.org', roles: 'leads' };
    expect(await users.user(await issuer.token(claims))).toEqual({
      name: 'ada@example.org',
      groups: ['leads'],
    });
    const unverified = await issuer.token({ ...claims, email_verified: false });
    await expect(users.user(unverified)).rejects.toThrow('expected a verified email');
    await expect(users.user(await issuer.token({ sub: '1' }))).rejects.toBeInstanceOf(Unauthenticated);
  });

  it('an issuer that is away, or is another, tells nothing of the token; later it does', async () => {
    let document: object | undefined;
    const server = createServer((_, response) => {
      response.writeHead(document ? 200 : 503).end(JSON.stringify(document));
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const users = oidc({ issuer: url });
    const token = await issuer.token({ sub: 'ada' }, { issuer: url });
    const failure = async () => users.user(token).catch((error) => error);
    expect(await failure()).toBeInstanceOf(Unavailable);
    expect((await failure()).message).toContain('HTTP 503');
    document = { issuer: 'https://another.example.org', jwks_uri: `${issuer.url}/keys` };
    expect((await failure()).message).toContain('it says that it is https://another.example.org');
    document = { issuer: url, jwks_uri: `${url}/none` };
    expect(await failure()).toBeInstanceOf(Unavailable);
    server.close();
    server.closeAllConnections();
    const gone = oidc({ issuer: url });
    await expect(gone.user(token)).rejects.toThrow('cannot be asked now (');
  });
});

describe('reviews of tokens', () => {
  const status = {
    authenticated: true,
    audiences: ['emotune'],
    user: { username: 'system:serviceaccount:a:ci', groups: ['system:serviceaccounts:a'] },
  };

  /** What the API server answers, in order. */
  function reviews(...answers: (object | Error)[]) {
    let asked = 0;
    const createTokenReview = async () => {
      const answer = answers[Math.min(asked++, answers.length - 1)];
      if (answer instanceof Error) throw answer;
      return { status: answer } as never;
    };
    return { users: new TokenReviews({ createTokenReview }, 'emotune'), asked: () => asked };
  }

  it('many calls with one token ask once', async () => {
    const { users, asked } = reviews(status);
    const found = await Promise.all([users.user('a'), users.user('a')]);
    expect(found[1]).toEqual({ name: 'system:serviceaccount:a:ci', groups: ['system:serviceaccounts:a'] });
    expect(asked()).toBe(1);
    await users.user('b');
    expect(asked()).toBe(2);
  });

  it.each([
    { authenticated: false },
    { ...status, audiences: ['https://kubernetes'] },
    { ...status, user: {} },
  ])('refuses what is not for it: %j', async (answer) => {
    await expect(reviews(answer).users.user('a')).rejects.toThrow('kubectl create token NAME --audience');
  });

  it('an API server that is away is asked again; one that refuses is told of', async () => {
    const { users, asked } = reviews(
      new Error('away'),
      Object.assign(new Error('no'), { code: 403 }),
      status,
    );
    await expect(users.user('a')).rejects.toBeInstanceOf(Unavailable);
    await expect(users.user('a')).rejects.toThrow('may not create tokenreviews');
    expect((await users.user('a')).name).toContain('ci');
    expect(asked()).toBe(3);
  });
});
