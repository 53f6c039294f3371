/** Counts what a server is asked at a time, and refuses what is more than it takes before any of it is read. */
import type { Http2Stream } from 'node:http2';
import { Internal, ResourceExhausted } from '@emotune/base';
import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { guestFor } from './access.js';
import type { Limits } from './limits.js';
import { statusOf } from './status.js';

type Kind = 'calls' | 'streams' | 'trainers' | 'raters' | 'watchdogs';

type Method = Parameters<ServerInterceptor>[0];

/** Each has room of its own, so that none takes that of another. */
function kindOf({ path, requestStream, responseStream }: Method): Kind {
  if (path.startsWith('/grpc.')) return 'watchdogs';
  const guest = guestFor(path);
  if (guest !== undefined) return `${guest}s`;
  return requestStream || responseStream ? 'streams' : 'calls';
}

const names: Readonly<Record<Kind, string>> = {
  calls: 'calls',
  streams: 'streams',
  trainers: 'calls of trainers',
  raters: 'calls of raters',
  watchdogs: 'calls about its health',
};

const retryAfterMs = 1000;

function refusal(what: string): ResourceExhausted {
  return new ResourceExhausted(`the server has ${what}; ask again in ${retryAfterMs / 1000} s`, {
    retryAfterMs,
  });
}

/** What comes in for a call. gRPC's library tells of whole messages only: many that are half there would fill the memory unseen. */
function incoming(call: object): Http2Stream {
  const stream = Reflect.get(call, 'stream');
  if (typeof stream?.on !== 'function') throw new Internal('a call of the gRPC library shows no stream');
  return stream;
}

export class Load {
  private readonly open: Record<Kind, number> = {
    calls: 0,
    streams: 0,
    trainers: 0,
    raters: 0,
    watchdogs: 0,
  };
  private bytes = 0;

  constructor(private readonly limits: Limits) {}

  private most(kind: Kind): number {
    return kind === 'streams' || kind === 'watchdogs' ? this.limits.streams : this.limits.calls;
  }

  /** The first of a server's interceptors that sees calls which may be made: it stands on the library's own call. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const kind = kindOf(method);
    let entered = false;
    let held = 0;
    const release = () => {
      this.bytes -= held;
      held = 0;
    };
    const leave = () => {
      if (!entered) return;
      entered = false;
      this.open[kind]--;
      release();
    };
    const refuse = (error: Error) => {
      leave();
      call.sendStatus(statusOf(error));
    };
    const take = ({ length }: Buffer) => {
      if (!entered) return;
      held += length;
      this.bytes += length;
      if (this.bytes > this.limits.requestBytes && held < this.bytes)
        refuse(refusal(`${Math.round(this.bytes / 2 ** 20)} MiB of requests to answer`));
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        if (this.open[kind] >= this.most(kind))
          return refuse(refusal(`${this.open[kind]} ${names[kind]} open, as many as it takes`));
        entered = true;
        this.open[kind]++;
        incoming(call).on('data', take);
        next(metadata);
      })
      .withOnReceiveMessage((message, next) => {
        // Its caller has left, or waits no longer: there is nobody to compute it for.
        if (!entered) return;
        // Of a stream each message is dealt with before the next is asked for.
        if (method.requestStream) release();
        next(message);
      })
      .withOnCancel(leave)
      .build();
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    );
  };
}
