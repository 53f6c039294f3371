/**
 * The page for raters over HTTP. A link holds a rater's token, which becomes a cookie that no script reads; a form holds what only the
 * page can know of the cookie. Nothing is loaded from elsewhere, and nothing in a text can run.
 */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { InvalidArgument, policyOf, sha256, textFault, Unauthenticated, Unavailable } from '@emotune/base';
import { evaluation } from '@emotune/proto';
import { type ServiceContext, secretOfGuest } from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import {
  consentPart,
  donePart,
  type FormTarget,
  itemPart,
  messagePart,
  pageOf,
  statusOf,
} from './page-parts.js';
import { pageScript } from './page-script.js';
import { pageStyle } from './page-style.js';
import type { Raters } from './raters.js';

export interface PageSettings {
  /** host:port; undefined: no page is served. */
  readonly listen: string | undefined;
  /** As raters reach it, such as https://studies.example.org; undefined: by where it listens. */
  readonly url: string | undefined;
  /** Whether a port that is taken ends the service; else links say that the page is not served. */
  readonly required: boolean;
}

const mostBytes = 64 * 2 ** 10;
const mostConnections = 500;
/** A request takes at most so long to come, as it is looked after this often. */
const slow = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 5_000 };
const cookieSeconds = 90 * 24 * 3600;
const cookieName = 'emotune-rater';

const headers = {
  'content-security-policy': [
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:",
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

const files: Readonly<Record<string, readonly [type: string, content: string]>> = {
  '/studies/page.css': ['text/css; charset=utf-8', pageStyle],
  '/studies/page.js': ['text/javascript; charset=utf-8', pageScript],
};

/** An answer other than a part of a study. */
class Refusal extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

const badLink = 'This link is not good, or not any more. Ask the person who sent it to you for another one.';

function cookieIn(request: IncomingMessage): string {
  const found = (request.headers.cookie ?? '')
    .split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${cookieName}=`));
  return found?.slice(cookieName.length + 1) ?? '';
}

/** What a form holds that only the page can know. */
function formSecret(token: string): string {
  return sha256(`form of ${token}`);
}

function same(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(a), 'hex'), Buffer.from(sha256(b), 'hex'));
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? ''))
    throw new Refusal(415, 'Expected a form of this page.');
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > mostBytes) throw new Refusal(413, 'Expected a smaller form.');
    pieces.push(piece);
  }
  const text = Buffer.concat(pieces).toString('utf8');
  const form = new URLSearchParams(text);
  for (const value of form.values())
    if (textFault(value) !== undefined) throw new Refusal(400, 'Expected a form of this page.');
  return form;
}

function answerIn(form: URLSearchParams): evaluation.StudyAnswer {
  const value = form.get('value');
  const preference = form.get('preference');
  const known = Object.values(evaluation.Preference).find((one) => one === preference);
  return {
    value: value === null || value.trim() === '' ? undefined : Number(value),
    labels: form.getAll('label'),
    preference: known ?? evaluation.Preference.PREFERENCE_UNSPECIFIED,
  };
}

interface Reply {
  readonly code: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function redirect(location: string, more: Readonly<Record<string, string>> = {}): Reply {
  return { code: 303, headers: { location, ...more } };
}

function html(code: number, body: string): Reply {
  return { code, headers: { 'content-type': 'text/html; charset=utf-8' }, body };
}

export class StudyPage implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly server: Server;
  private address: string | undefined;
  private failure = '';

  constructor(
    private readonly context: ServiceContext,
    private readonly raters: Raters,
    private readonly settings: PageSettings,
  ) {
    this.server = createServer(slow, (request, response) => {
      void this.answer(request, response);
    });
    this.server.maxConnections = mostConnections;
  }

  private get base(): string | undefined {
    const { url, listen } = this.settings;
    return url ?? (this.address === undefined ? listen && `http://${listen}` : `http://${this.address}`);
  }

  /** Empty where there is no page. */
  linkOf(token: string): string {
    return this.base === undefined ? '' : `${this.base.replace(/\/+$/, '')}/studies/join/${token}`;
  }

  /** Why the page is not served where links say; empty where it is. */
  get notice(): string {
    return this.failure;
  }

  /** @throws Unavailable when it cannot be listened on, where it is required. */
  async onApplicationBootstrap(): Promise<void> {
    const { listen, required } = this.settings;
    if (listen === undefined) return;
    const { work, log } = this.context;
    if (work !== 'trials') {
      this.failure = 'the page is served while a platform runs: see "emotune up"';
      return;
    }
    const colon = listen.lastIndexOf(':');
    const host = listen.slice(0, colon);
    this.server.listen({ host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(listen.slice(colon + 1)) });
    try {
      await once(this.server, 'listening');
    } catch (cause) {
      this.failure = `the page for raters cannot be served at ${listen} (${(cause as Error).message}); set EMOTUNE_STUDIES_LISTEN`;
      if (required) throw new Unavailable(this.failure, { cause });
      log.error('the page for raters is not served', { reason: this.failure });
      return;
    }
    this.address = `${host}:${(this.server.address() as { port: number }).port}`;
    log.info('serving the page for raters', { address: this.address });
  }

  async onApplicationShutdown(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    // A form that is on its way is answered.
    this.server.closeIdleConnections();
    const timer = setTimeout(() => this.server.closeAllConnections(), 1000);
    await closed;
    clearTimeout(timer);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let reply: Reply;
    try {
      reply = await this.reply(request);
    } catch (error) {
      reply = this.failed(error);
    }
    response.writeHead(reply.code, { ...headers, ...reply.headers });
    response.end(request.method === 'HEAD' ? undefined : reply.body);
  }

  private failed(error: unknown): Reply {
    const [code, text] =
      error instanceof Refusal
        ? [error.code, error.message]
        : error instanceof Unauthenticated
          ? [401, badLink]
          : policyOf(error).retryable
            ? [503, 'This page cannot be reached now. Your answers are kept: try again in a minute.']
            : policyOf(error).tellsUser
              ? [409, (error as Error).message]
              : [500, 'Something went wrong here. Your answers are kept.'];
    if (code === 500) this.context.log.error('the page for raters failed', { error });
    return html(code, pageOf({ title: 'EmoTune', status: text }, messagePart('This did not work', text)));
  }

  private async reply(request: IncomingMessage): Promise<Reply> {
    const url = URL.parse(request.url ?? '/', 'http://page');
    if (url === null) throw new Refusal(400, 'There is no such page.');
    const { pathname } = url;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (reads && Object.hasOwn(files, pathname)) {
      const [type, body] = files[pathname];
      return { code: 200, headers: { 'content-type': type, 'cache-control': 'no-cache' }, body };
    }
    const join = /^\/studies\/join\/([\w.-]+)$/.exec(pathname)?.[1];
    if (reads && join !== undefined) return this.join(join);
    const [, study, action = ''] = /^\/studies\/([a-z0-9-]+)(?:\/(consent|judge))?$/.exec(pathname) ?? [];
    if (study === undefined)
      throw new Refusal(404, 'There is no such page. Open the link that was sent to you.');
    const token = cookieIn(request);
    if (!this.isToken(token))
      throw new Refusal(401, 'This page does not know you. Open the link that was sent to you again.');
    if (action === '') {
      if (!reads) throw new Refusal(405, 'Open this page by its link.');
      return this.show(study, token, Number(url.searchParams.get('item') ?? 0) || 0);
    }
    if (request.method !== 'POST') return redirect(`/studies/${study}`);
    if (request.headers['sec-fetch-site'] === 'cross-site')
      throw new Refusal(403, 'This form was sent from another page.');
    const form = await formOf(request);
    if (!same(form.get('form') ?? '', formSecret(token)))
      throw new Refusal(403, 'This form is not of this page. Open the link that was sent to you again.');
    return action === 'consent' ? this.consent(study, token, form) : this.judge(study, token, form);
  }

  private isToken(token: string): boolean {
    return token !== '' && this.context.isRaterToken(token);
  }

  private cookie(study: string, token: string): Readonly<Record<string, string>> {
    const secure = this.base?.startsWith('https:') ? '; Secure' : '';
    return {
      'set-cookie': `${cookieName}=${token}; Path=/studies/${study}; Max-Age=${cookieSeconds}; HttpOnly; SameSite=Lax${secure}`,
    };
  }

  private async join(token: string): Promise<Reply> {
    if (!this.isToken(token)) throw new Refusal(404, badLink);
    const { study } = await this.raters.invitation(secretOfGuest(token));
    return redirect(`/studies/${study}`, this.cookie(study, token));
  }

  private async consent(study: string, token: string, form: URLSearchParams): Promise<Reply> {
    const own = await this.raters.join(
      { consent: form.get('consent') === 'yes', requestId: form.get('request') ?? '' },
      secretOfGuest(token),
    );
    return redirect(`/studies/${study}`, this.cookie(study, own.token));
  }

  private async judge(study: string, token: string, form: URLSearchParams): Promise<Reply> {
    const item = Number(form.get('item') ?? 0);
    const request = { item: Number.isSafeInteger(item) ? item : 0, answer: answerIn(form) };
    try {
      await this.raters.judge(request, secretOfGuest(token));
    } catch (error) {
      if (!(error instanceof InvalidArgument)) throw error;
      return this.show(study, token, 0, 'Choose an answer.');
    }
    return redirect(`/studies/${study}`);
  }

  /** Consent, an item, or that there is none. */
  private async show(study: string, token: string, item: number, problem = ''): Promise<Reply> {
    const ticket = secretOfGuest(token);
    const invitation = await this.raters.invitation(ticket);
    if (invitation.study !== study) return redirect(`/studies/${invitation.study}`);
    const { title } = invitation;
    if (!invitation.open) {
      const text = 'This study takes no answers now. What you have answered is kept.';
      return html(200, pageOf({ title, status: text }, messagePart(title, text)));
    }
    const to = (action: string): FormTarget => ({
      action: `/studies/${study}/${action}`,
      secret: formSecret(token),
    });
    if (!invitation.consented) {
      const status = 'Read what you agree to before you begin.';
      return html(200, pageOf({ title, status }, consentPart(invitation, to('consent'), randomUUID())));
    }
    const next = await this.raters.next({ item }, ticket);
    const again = next.lastJudged > 0 && item === 0 ? `/studies/${study}?item=${next.lastJudged}` : '';
    const part = next.item
      ? itemPart(invitation, { ...next, item: next.item }, to('judge'), { problem, again })
      : donePart(title, next, again);
    return html(problem === '' ? 200 : 422, pageOf({ title, status: problem || statusOf(next) }, part));
  }
}
