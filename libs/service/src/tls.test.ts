import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { InvalidArgument, Unauthenticated, Unavailable } from '@emotune/base';
import type { data, tuning } from '@emotune/proto';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Access } from './access.js';
import { Channel } from './channel.js';
import { EmotuneServer } from './server.js';
import { Health, type Issued, TestCa } from './testing.js';
import { Tls } from './tls.js';

const token = 'the-token-of-the-platform-in-full';
const folder = mkdtempSync(join(tmpdir(), 'emotune-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let ca: TestCa;
let foreign: TestCa;
/** Of a service and of one that calls it. */
let [serving, calling]: Issued[] = [];
beforeAll(async () => {
  [ca, foreign] = await Promise.all([TestCa.make(), TestCa.make('another')]);
  [serving, calling] = await Promise.all([ca.issue('data'), ca.issue('tuning')]);
});

/** A server whose log is kept. */
async function serve(variables: Record<string, string>) {
  const logged: string[] = [];
  const note = (message: string, fields: object = {}) =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log = { info: note, warn: note, error: note };
  const server = await EmotuneServer.listen({
    listen: '127.0.0.1:0',
    access: new Access({ token, certificates: true }),
    security: { tls: Tls.files(variables), log },
    probes: '127.0.0.1:0',
  });
  onTestFinished(() => server.close());
  return { server, logged };
}

function issued(name: string, cert: Issued, by = ca) {
  return by.write(join(folder, name), cert);
}

/** What the first call over a new channel ends with. It is UNAVAILABLE in our words where it was let in: no controller is bound. */
async function outcome(address: string, tls: Tls | undefined, shown = token): Promise<Error> {
  const channel = Channel.connect(address, { tls, token: shown });
  const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
  const error = await datasets.call('listDatasets', {}, { deadlineMs: 60_000 }).then(
    () => new Error('answered'),
    (thrown) => thrown,
  );
  channel.close();
  return error;
}

const letIn = 'the server is starting; ask again';

it('services show each other certificates of one CA, beside the token', async () => {
  const { server } = await serve(issued('serving', serving));
  const mine = Tls.files(issued('calling', calling));
  expect((await outcome(server.address, mine)).message).toBe(letIn);
  expect(await outcome(server.address, mine, `${token}x`)).toBeInstanceOf(Unauthenticated);

  const anonymous = Tls.files({ EMOTUNE_TLS_CA_FILE: issued('calling', calling)['EMOTUNE_TLS_CA_FILE'] });
  const error = await outcome(server.address, anonymous);
  expect(error).toBeInstanceOf(Unauthenticated);
  expect(error.message).toContain("expected a certificate of the services' CA beside the token");
});

it('trainers need the CA alone', async () => {
  const { server } = await serve(issued('serving', serving));
  const channel = Channel.connect(server.address, { tls: new Tls(() => ({ ca: ca.pem })) });
  const shown = { token: server.access.guestToken('trainer', 'secret') };
  const trials = channel.client<tuning.TrialServiceClient>('TrialService');
  await expect(trials.call('heartbeat', {}, shown)).rejects.toThrow(letIn);
  channel.close();
});

it.each([
  ['of another CA', () => foreign.issue('tuning'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['that has expired', () => ca.issue('tuning', { days: -1 }), 'CERT_HAS_EXPIRED'],
])('who shows a certificate %s is told so, and the server tells its log', async (name, issue, reason) => {
  const { server, logged } = await serve(issued('serving', serving));
  const error = await outcome(server.address, Tls.files(issued(`caller ${name}`, await issue())));
  expect(error).toBeInstanceOf(Unauthenticated);
  expect(error.message).toContain(`got one that is not: ${reason}; renew it`);
  expect(logged.join()).toContain(`its certificate is not accepted (${reason})`);
});

it.each([
  ['of another CA', () => foreign.issue('data'), 'unable to verify'],
  ['that has expired', () => ca.issue('data', { days: -1 }), 'certificate has expired'],
  ['for another host', () => ca.issue('data', { hosts: ['data.example.org'] }), 'altnames'],
])('who calls a server with a certificate %s is told so', async (name, issue, reason) => {
  const { server, logged } = await serve(issued(`server ${name}`, await issue()));
  const error = await outcome(server.address, Tls.files(issued('calling', calling)));
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toContain(`${server.address} is not trusted, or does not speak TLS (`);
  expect(error.message).toContain(reason);
  expect(error.message).toContain('EMOTUNE_TLS_CA_FILE has to name the CA');
  await expect.poll(() => logged.join()).toContain('it may not trust the certificate');
});

it('a certificate for another name is accepted by that name', async () => {
  const { server } = await serve(issued('named', await ca.issue('data', { hosts: ['data.example.org'] })));
  const tls = Tls.files(issued('calling', calling), 'data.example.org');
  expect((await outcome(server.address, tls)).message).toBe(letIn);
});

it('one with TLS and one without do not understand each other, and say so', async () => {
  const { server, logged } = await serve(issued('serving', serving));
  expect(await outcome(server.address, undefined)).toBeInstanceOf(Unavailable);
  expect(logged.join()).toContain('expected TLS, got a call without it');
  const plain = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: new Access({ token }) });
  onTestFinished(() => plain.close());
  const error = await outcome(plain.address, Tls.files(issued('calling', calling)));
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toContain('is not trusted, or does not speak TLS (');
});

/** The certificate that a server shows to a new connection. */
async function shownBy(address: string): Promise<PeerCertificate> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port), ca: ca.pem, ALPNProtocols: ['h2'] });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

it('renewed files count for new connections, of both sides; what cannot be used leaves those before', async () => {
  const files = issued('renewed', serving);
  const { server, logged } = await serve(files);
  expect((await shownBy(server.address)).subject.CN).toBe('data');
  issued('renewed', await ca.issue('data-2'));
  expect((await shownBy(server.address)).subject.CN).toBe('data-2');

  writeFileSync(files['EMOTUNE_TLS_KEY_FILE'], serving.key);
  for (const _ of [1, 2]) expect((await shownBy(server.address)).subject.CN).toBe('data-2');
  rmSync(files['EMOTUNE_TLS_KEY_FILE']);
  expect((await shownBy(server.address)).subject.CN).toBe('data-2');
  const told = logged.filter((line) => line.includes('the one before stays'));
  expect(told).toHaveLength(2);
  expect(told.join()).toContain('EMOTUNE_TLS_KEY_FILE: expected a file that can be read, got ENOENT');
  issued('renewed', await ca.issue('data-3'));
  expect((await shownBy(server.address)).subject.CN).toBe('data-3');

  const expired = issued('caller', await ca.issue('tuning', { days: -1 }));
  const tls = Tls.files(expired);
  expect(await outcome(server.address, tls)).toBeInstanceOf(Unauthenticated);
  issued('caller', calling);
  expect((await outcome(server.address, tls)).message).toBe(letIn);
});

it('health is answered beside, without TLS, and nothing else', async () => {
  const { server } = await serve(issued('serving', serving));
  const health = new Health(server.probesAddress!);
  expect(await health.check()).toBe('NOT_SERVING');
  const error = await outcome(server.probesAddress!, undefined);
  expect(error.message).not.toBe(letIn);
  const watch = health.watch();
  expect((await watch.next()).value).toBe('NOT_SERVING');
  const ended = (async () => {
    for await (const _ of watch);
  })().catch(({ code }) => code);
  await server.drain(60_000);
  await server.close();
  expect(await ended).toBe(status.UNAVAILABLE);
  health.close();
});

it.each([
  [
    'EMOTUNE_TLS_KEY_FILE',
    { EMOTUNE_TLS_KEY_FILE: undefined },
    'expected a file beside EMOTUNE_TLS_CERT_FILE',
  ],
  ['EMOTUNE_TLS_CERT_FILE', { EMOTUNE_TLS_CERT_FILE: '' }, 'expected a file beside EMOTUNE_TLS_KEY_FILE'],
  ['EMOTUNE_TLS_CA_FILE', { EMOTUNE_TLS_CA_FILE: '/none' }, 'expected a file that can be read, got ENOENT'],
  ['EMOTUNE_TLS_CA_FILE', { EMOTUNE_TLS_CA_FILE: import.meta.filename }, 'expected PEM, got a file'],
  [
    'EMOTUNE_TLS_CERT_FILE',
    { other: 'key' },
    'expected certificates in PEM and the key to them in EMOTUNE_TLS_KEY_FILE',
  ],
])(
  'a wrong setting is refused by its name: %s',
  (name, change: Record<string, string | undefined>, description) => {
    const files = issued('setting', serving);
    if ('other' in change) writeFileSync(files['EMOTUNE_TLS_KEY_FILE'], calling.key);
    const make = () => Tls.of({ ...files, ...change });
    expect(make).toThrow(InvalidArgument);
    expect(make).toThrow(`${name}: ${description}`);
  },
);
