/** Requests to the Hub: with the token, tried again where that helps, refused in words that say what to do. */
import { setTimeout as delay } from 'node:timers/promises';
import { FailedPrecondition, NotFound, policyOf, Unavailable } from '@emotune/base';
import { type HubId, hubIdText } from './hub-id.js';
import type { HubSettings } from './settings.js';

const mostTries = 5;
const firstPauseMs = 500;
/** The Hub counts requests by windows of five minutes. */
const longestWaitMs = 300_000;

/** Where a person looks at the repository. */
function pageOf({ endpoint }: HubSettings, { kind, repo }: HubId): string {
  return `${endpoint}/${kind === 'dataset' ? 'datasets/' : ''}${repo}`;
}

/** What an answer that refuses means to a user. */
function refusal(response: Response, id: HubId, settings: HubSettings, known: boolean): Error {
  const what = hubIdText(id);
  const page = pageOf(settings, id);
  const code = response.headers.get('x-error-code') ?? '';
  if (code === 'GatedRepo')
    return new FailedPrecondition(
      known
        ? `${what}: access has to be asked for; accept the licence at ${page} with the account of HF_TOKEN, then try again`
        : `${what}: access has to be asked for; accept the licence at ${page} and set HF_TOKEN where the platform runs to a token of that account`,
    );
  if (code === 'RevisionNotFound')
    return new NotFound(
      `${what}: ${id.repo} has no revision ${id.revision}; ${page} shows its branches and tags`,
    );
  if (code === 'EntryNotFound')
    return new NotFound(`${what}: the repository has no such file: ${response.url}`);
  if (response.status === 401 || response.status === 403)
    return new FailedPrecondition(
      known
        ? `${what}: the Hub refuses the access token (${response.status}); check its name and that the account of HF_TOKEN may read it`
        : `${what}: the Hub does not show it (${response.status}); check its name, or set HF_TOKEN where the platform runs to a token of an account that may read it`,
    );
  if (response.status === 404)
    return new NotFound(
      `${what}: expected a repository of the Hub, got none of that name; check its name at ${page}`,
    );
  return new Unavailable(`${what}: the Hub answers HTTP ${response.status}; try again later`);
}

/** How long an answer asks to wait, in milliseconds; undefined where it says nothing. */
function retryAfterMs(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/**
 * `fetch` for one repository. The token goes to the Hub alone, not where the Hub sends on to.
 * @throws FailedPrecondition, NotFound, Unavailable; the signal's reason.
 */
export function hubFetch(settings: HubSettings, id: HubId, signal: AbortSignal | undefined): typeof fetch {
  const { endpoint, pauseMs = firstPauseMs } = settings;
  const pause = async (ms: number, stop: AbortSignal | null | undefined) => {
    await delay(ms, undefined, stop ? { signal: stop } : {}).catch(() => stop?.throwIfAborted());
  };
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init.headers);
    const token = url.origin === new URL(endpoint).origin ? await settings.token() : undefined;
    if (token) headers.set('authorization', `Bearer ${token}`);
    headers.set('user-agent', 'emotune');
    const stop = init.signal ?? signal;
    for (let tries = 1; ; tries++) {
      let response: Response;
      try {
        response = await fetch(url, { ...init, headers, ...(stop ? { signal: stop } : {}) });
      } catch (cause) {
        stop?.throwIfAborted();
        if (policyOf(cause).tellsUser) throw cause;
        if (tries >= mostTries) {
          const { message, cause: deeper } = cause as Error;
          const why = deeper instanceof Error && deeper.message !== '' ? deeper.message : message;
          throw new Unavailable(
            `${hubIdText(id)}: ${url.origin} cannot be reached (${why}); try again later, or set HF_HUB_OFFLINE=1 to use what was fetched before`,
            { cause },
          );
        }
        await pause(pauseMs * 2 ** (tries - 1), stop);
        continue;
      }
      if (response.ok || response.status === 416) return response;
      await response.body?.cancel();
      const asked = retryAfterMs(response);
      const passes = response.status === 429 || response.status >= 500;
      if (!passes) throw refusal(response, id, settings, token !== undefined);
      if (tries >= mostTries || (asked ?? 0) > longestWaitMs) {
        if (response.status !== 429) throw refusal(response, id, settings, token !== undefined);
        const when = asked === undefined ? 'later' : `in ${Math.ceil(asked / 1000)} s`;
        const more = token ? '' : '; with HF_TOKEN set the Hub allows more requests';
        throw new Unavailable(
          `${hubIdText(id)}: too many requests to the Hub (429); try again ${when}${more}`,
        );
      }
      await pause(asked ?? pauseMs * 2 ** (tries - 1), stop);
    }
  };
}
