/**
 * Conversations as the text that a model was tuned on: its chat template, a Jinja program, rendered as
 * `apply_chat_template` of transformers does.
 */
import { join } from 'node:path';
import { InvalidArgument, show } from '@emotune/base';
import { Environment, parse, tokenize } from '@huggingface/jinja';
import { BoundedInterpreter } from './chat-interpreter.js';
import { textAt } from './model-file.js';

export interface ChatMessage {
  /** `system`, `user`, `assistant`, or what else the template knows. */
  readonly role: string;
  readonly content: string;
}

export interface ChatTemplate {
  /** The Jinja program. */
  readonly template: string;
  /** Special tokens by the name that templates use: `bos_token`, `eos_token`, … */
  readonly tokens: Readonly<Record<string, string>>;
}

export interface RenderChatOptions {
  /** Ends with what begins the model's answer. */
  readonly addGenerationPrompt?: boolean;
  /** What templates that write today's date take it from, in UTC. */
  readonly now?: Date;
  /** Further variables that the template reads. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The directives of `strftime` that templates use. */
function strftime(now: Date, format: string): string {
  const part = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', ...options }).format(now);
  const [date, time] = now.toISOString().split('T');
  const [year, month, day] = date.split('-');
  const [hour, minute, second] = time.split(/[:.]/);
  const directives: Record<string, string> = {
    Y: year,
    m: month,
    d: day,
    H: hour,
    M: minute,
    S: second,
    '%': '%',
    b: part({ month: 'short' }),
    B: part({ month: 'long' }),
    a: part({ weekday: 'short' }),
    A: part({ weekday: 'long' }),
  };
  return format.replace(/%(.)/g, (_, letter) => {
    if (!Object.hasOwn(directives, letter)) throw new Error(`the date format %${letter} is not supported`);
    return directives[letter];
  });
}

const longestRange = 100_000;

/** Python's `range`, of bounded length: a template comes with a model from anywhere. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= longestRange)) throw new Error(`a range of ${length} is longer than ${longestRange}`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** @throws InvalidArgument when the template is no valid one, refuses the messages, with its reason, or has no end in sight. */
export function renderChat(
  { template, tokens }: ChatTemplate,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false, now, variables = {} }: RenderChatOptions = {},
): string {
  try {
    const environment = new Environment();
    const set = (values: Readonly<Record<string, unknown>>) => {
      for (const [name, value] of Object.entries(values)) environment.set(name, value);
    };
    set({ true: true, false: false, none: null, True: true, False: false, None: null, range });
    set({
      raise_exception: (message: string) => {
        throw new Error(message);
      },
      strftime_now: (format: string) => {
        if (now === undefined) throw new Error('it writes the date; render it with now');
        return strftime(now, format);
      },
    });
    set({ ...tokens, messages, add_generation_prompt: addGenerationPrompt, ...variables });
    const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
    const characters = messages.reduce((sum, { content }) => sum + content.length, template.length);
    return String(new BoundedInterpreter(environment, characters).run(program).value);
  } catch (cause) {
    throw InvalidArgument.at(
      'chat_template',
      `expected a template for these messages: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function textOf(token: unknown): unknown {
  return typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
}

/** The program among what `chat_template` may be: text, or named ones of which `default` counts. */
function programOf(field: unknown): string | undefined {
  if (field === undefined || field === null || typeof field === 'string') return field ?? undefined;
  const named = Array.isArray(field) ? field.find((one) => one?.name === 'default')?.template : undefined;
  if (typeof named !== 'string')
    throw InvalidArgument.at(
      'tokenizer_config.json: chat_template',
      `expected text or a list with a template named default, got ${show(field)}`,
    );
  return named;
}

/**
 * The template in a `tokenizer_config.json`, or `jinja` where it stands in a file of its own; undefined without one.
 * @throws InvalidArgument.
 */
export function parseChatTemplate(config: unknown, jinja?: string): ChatTemplate | undefined {
  const json = (config ?? {}) as Record<string, unknown>;
  const template = jinja ?? programOf(json['chat_template']);
  if (template === undefined) return undefined;
  const tokens = Object.entries(json).flatMap(([key, value]) => {
    const text = textOf(value);
    return /^(bos|eos|unk|pad|sep|cls|mask)_token$/.test(key) && typeof text === 'string'
      ? [[key, text]]
      : [];
  });
  return { template, tokens: Object.fromEntries(tokens) };
}

/** The template of a checkpoint folder: `chat_template.jinja` before that of `tokenizer_config.json`. @throws InvalidArgument. */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const path = join(folder, 'tokenizer_config.json');
  const text = (await textAt(path)) ?? '{}';
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(path, 'expected JSON', { cause });
  }
  return parseChatTemplate(config, await textAt(join(folder, 'chat_template.jinja')));
}
