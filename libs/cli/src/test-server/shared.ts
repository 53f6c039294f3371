/** What all services of the test server share. */
import { common } from '@emotune/proto';

export const { BUILD_STATE_BUILDING, BUILD_STATE_FAILED, BUILD_STATE_READY } = common.BuildState;
export const created = { seconds: 1_700_000_000, nanos: 0 };

/** What the server was asked last, by method. */
export const asked = new Map<string, unknown>();
export function note<T>(method: string, request: T): T {
  asked.set(method, request);
  return request;
}

export const unused = (): never => {
  throw new Error('the command line does not call this');
};
