/**
 * Traces by W3C trace context, as text: `00-<32 hex digits>-<16 hex digits>-<flags>`. Nothing is recorded unless the process has
 * started a tracer, and without one there is no context to pass on but what came from outside.
 */
import { randomBytes } from 'node:crypto';
import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type SpanOptions as StartOptions,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { sha256 } from './hash.js';

const form = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/;

function textOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** The ids of where the work stands; undefined where nothing is traced. */
export function currentSpan(): SpanContext | undefined {
  return trace.getSpanContext(context.active());
}

/** The context of where the work stands, to be passed on; undefined where nothing is traced. */
export function traceparent(): string | undefined {
  const current = currentSpan();
  return current && textOf(current);
}

function contextOf(parent: string | undefined): Context {
  const [, traceId, spanId, flags] = form.exec(parent ?? '') ?? [];
  if (traceId === undefined) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    ...{ traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true },
  });
}

/** What a trace is of; the first word names its root. */
type Words = readonly [string, ...(string | number)[]];

interface Ids {
  readonly traceId: string;
  readonly spanId: string;
}

function idsOf(words: Words): Ids {
  const hash = sha256(words.join('\n'));
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48) };
}

/** Of the root that is being begun. */
let planned: Ids | undefined;

/** For a tracer: random ids, but for roots whose ids follow from words. */
export const spanIds = {
  generateTraceId: () => planned?.traceId ?? randomBytes(16).toString('hex'),
  generateSpanId: () => planned?.spanId ?? randomBytes(8).toString('hex'),
};

function beginRoot(words: Words, options: StartOptions = {}): Span {
  planned = idsOf(words);
  try {
    return trace.getTracer('emotune').startSpan(words[0], options, ROOT_CONTEXT);
  } finally {
    planned = undefined;
  }
}

/**
 * The context of a root that follows from words alone: whoever knows them can add to one trace, also after a restart. Whether
 * it is sampled is up to the tracer, so that a trace is told whole or not at all.
 */
export function traceOf(...words: Words): string {
  const ids = idsOf(words);
  const begun = beginRoot(words).spanContext();
  // Where this process traces nothing, others may.
  return textOf(begun.traceId === ids.traceId ? begun : { ...ids, traceFlags: TraceFlags.SAMPLED });
}

type Attributes = Readonly<Record<string, string | number>>;

export interface SpanOptions {
  readonly attributes?: Attributes;
  /** The context that it belongs to; '' begins a trace; default: where the work stands. */
  readonly parent?: string | undefined;
  readonly kind?: 'server' | 'consumer' | 'internal';
}

const kinds = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL } as const;

export interface OpenSpan {
  /** Runs work in it. */
  within<T>(work: () => T): T;
  /** @param failure why it failed, if it did */
  end(failure?: string): void;
}

function begun(name: string, { attributes = {}, parent, kind = 'internal' }: SpanOptions): [Span, Context] {
  const from = parent === undefined ? context.active() : contextOf(parent);
  const span = trace.getTracer('emotune').startSpan(name, { attributes, kind: kinds[kind] }, from);
  return [span, trace.setSpan(from, span)];
}

function endWith(span: Span, failure?: string, at?: number): void {
  if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
  span.end(at);
}

/** Begins a span, which its caller ends. */
export function openSpan(name: string, options: SpanOptions = {}): OpenSpan {
  const [span, inside] = begun(name, options);
  return { within: (work) => context.with(inside, work), end: (failure) => endWith(span, failure) };
}

/** Does work in a span of its own, which has failed if the work throws. */
export async function spanned<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  const span = openSpan(name, options);
  try {
    const result = await span.within(work);
    span.end();
    return result;
  } catch (error) {
    span.end((error as Error).message);
    throw error;
  }
}

/** Work that is over. */
interface Past {
  readonly attributes?: Attributes;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  readonly failure?: string | undefined;
}

/** Tells of work that is over. @param parent the context that it belongs to */
export function pastSpan(
  name: string,
  { parent, from, to, failure, attributes = {} }: Past & { readonly parent: string },
): void {
  const span = trace.getTracer('emotune').startSpan(name, { attributes, startTime: from }, contextOf(parent));
  endWith(span, failure, to);
}

/** Tells of what a whole trace is of: the root whose context `traceOf` gives for the same words. */
export function pastRoot(words: Words, { from, to, failure, attributes = {} }: Past): void {
  endWith(beginRoot(words, { attributes, startTime: from }), failure, to);
}
