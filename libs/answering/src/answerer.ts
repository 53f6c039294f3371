/**
 * Asks a model by likelihood: every answer that a question allows is scored, so no answer can fall off its scale or
 * labels, and the spread comes with it. Numbers are expected values over a digit trie (Lukasik et al. 2024, RAFT).
 */
import { join } from 'node:path';
import {
  type Answered,
  answered,
  answerTokens,
  bundledAfinn,
  bundledLexicons,
  type Candidate,
  candidatesOf,
  candidateTokens,
  type Distribution,
  Lexicons,
  lexiconsFile,
  type Meaning,
  parseLexicons,
  type Question,
  questionTokens,
  renderAnswer,
  renderPrompt,
  softmax,
} from '@emotune/affect';
import { FailedPrecondition, InvalidArgument, Turns } from '@emotune/base';
import { OnnxExecutor } from '@emotune/engine';
import {
  type InferenceCompute,
  loadAdapter,
  loadModel,
  loadTokenizer,
  longestRow,
  mergeAdapter,
  type ScoreOptions,
  type ScoreRequest,
  Scorer,
} from '@emotune/models';
import { endOfSequence, type Tokenizer, textAt } from '@emotune/text';

export interface Answer extends Answered {
  /** What the model says of each allowed answer before calibration; adds up to 1. */
  readonly said: Distribution;
  /** Log-likelihood in nats of the gold answer and the end of sequence, where a gold was given. */
  readonly goldLogProb?: number;
  /** The text lost its end to fit. */
  readonly cut: boolean;
}

export interface AnswererOptions {
  /** A checkpoint: config.json, weights, tokenizer.json, or a GGUF file. */
  readonly folder: string;
  /** A PEFT adapter for it. */
  readonly adapter?: string;
  /** At least 1. */
  readonly threads?: number;
  /** How the linear layers are multiplied; `int8` moves answers a little and is faster. Default `fp32`. */
  readonly baseCompute?: InferenceCompute;
  /** Longest prompt in tokens; longer texts lose their end. 512, or what the model can take. */
  readonly maxTokens?: number;
}

/** A folder that stays as it is until it is released. */
export interface HeldFolder {
  readonly path: string;
  /** @throws when its files are not what they were when it was lent. */
  intact(): Promise<void>;
  release(): Promise<void>;
}

export interface AskOptions {
  /** The known answer of each question. */
  readonly golds?: readonly Meaning[];
  /** Who asks: callers take turns. */
  readonly caller?: string;
  /** What has not begun when it aborts is not computed; the call fails with its reason. */
  readonly signal?: AbortSignal;
}

/** A kind of question: its answers, tokenised, and the tokens with which its prompts begin. */
interface Kind {
  readonly candidates: readonly Candidate[];
  readonly tokens: readonly Int32Array[];
  readonly beginning: Int32Array;
}

/** A question as the model is asked. */
interface Prepared {
  readonly question: Question;
  readonly candidates: readonly Candidate[];
  readonly request: ScoreRequest;
  readonly cut: boolean;
}

/** Kinds of question that are kept. */
const keptKinds = 256;

/** Questions that are prepared together, and groups of them that are prepared while others are computed. */
const groupSize = 64;
const groupsAhead = 2;
/** Characters of texts that are tokenised before others get their turn: a few milliseconds. */
const charactersAtOnce = 10_000;
const preparing = new Turns();

function begins(beginning: Int32Array, whole: Int32Array): boolean {
  return beginning.length <= whole.length && beginning.every((token, i) => token === whole[i]);
}

/** The lexicons of a model's file; without one, those that are part of what npm installs. @throws InvalidArgument */
export async function lexiconsIn(folder: string): Promise<Lexicons> {
  const text = await textAt(join(folder, lexiconsFile));
  return text === undefined ? bundledLexicons() : new Lexicons([bundledAfinn(), ...parseLexicons(text)]);
}

async function releaseAll(folders: readonly HeldFolder[]): Promise<void> {
  await Promise.all(folders.map((folder) => folder.release()));
}

/** A loaded model. Holds a thread, memory and the folders that its weights are mapped from; close it. */
export class Answerer {
  private held: readonly HeldFolder[] = [];
  private readonly kinds = new Map<string, Kind>();

  private constructor(
    readonly tokenizer: Tokenizer,
    /** Those whose cues its prompts carried when it was taught. */
    readonly lexicons: Lexicons,
    private readonly scorer: Scorer,
    private readonly maxTokens: number,
    private readonly maxPositions: number,
  ) {}

  /**
   * @throws NotFound when a file is missing; InvalidArgument when the checkpoint, adapter or tokenizer is malformed or they
   *   do not fit each other.
   */
  static async open({
    folder,
    adapter,
    threads = 1,
    baseCompute = 'fp32',
    maxTokens = 512,
  }: AnswererOptions): Promise<Answerer> {
    const tokenizer = await loadTokenizer(folder);
    endOfSequence(tokenizer);
    const base = await loadModel(folder, { inFiles: true });
    if (tokenizer.vocabSize > base.config.vocabSize) {
      throw InvalidArgument.at(
        'tokenizer.json',
        `expected ids below the model's vocabulary of ${base.config.vocabSize}, got ${tokenizer.vocabSize - 1}`,
      );
    }
    const model = adapter === undefined ? base : mergeAdapter(base, await loadAdapter(adapter, base.config));
    const maxPositions = longestRow(base.config);
    return new Answerer(
      tokenizer,
      await lexiconsIn(adapter ?? folder),
      await Scorer.create(model, OnnxExecutor.create, { threads, baseCompute }),
      maxTokens,
      maxPositions,
    );
  }

  /**
   * A model as it is stored: a checkpoint, or an adapter beside its base's. `folderOf` gives the files below a prefix, which
   * are released when the model is closed or cannot be opened; `tokenizer` is the hash that it was registered with.
   * @throws as `open`; FailedPrecondition when its files give another tokenizer now.
   */
  static async openStored(
    {
      prefix,
      basePrefix,
      tokenizer,
    }: { readonly prefix: string; readonly basePrefix: string; readonly tokenizer: string },
    folderOf: (prefix: string) => Promise<HeldFolder>,
    compute: Pick<AnswererOptions, 'threads' | 'baseCompute'>,
  ): Promise<Answerer> {
    const held: HeldFolder[] = [];
    const hold = async (below: string): Promise<string> => {
      const folder = await folderOf(below);
      held.push(folder);
      return folder.path;
    };
    try {
      const folder = await hold(prefix);
      const answerer = await Answerer.open(
        basePrefix === ''
          ? { folder, ...compute }
          : { folder: await hold(basePrefix), adapter: folder, ...compute },
      );
      if (answerer.tokenizer.hash !== tokenizer) {
        await answerer.close();
        throw new FailedPrecondition(
          'the model was registered when the beginning and end of its texts were not read from its files, and would be asked otherwise than it learnt; train or import it again',
        );
      }
      answerer.held = held;
      return answerer;
    } catch (error) {
      await releaseAll(held);
      throw error;
    }
  }

  /** @throws DataLoss when a file that weights are mapped from is damaged, or was replaced since. */
  async intact(): Promise<void> {
    await Promise.all(this.held.map((folder) => folder.intact()));
  }

  private kindOf(q: Question): Kind {
    const { text: _text, cues: _cues, threshold: _threshold, calibration: _calibration, ...kind } = q;
    const key = JSON.stringify(kind);
    const known = this.kinds.get(key);
    if (known) return known;
    const candidates = candidatesOf(q);
    const answers = candidates.map(({ answer }) => answer);
    const [one, other] = ['a', '7 Z'].map((text) =>
      Int32Array.from([...this.tokenizer.beginning, ...this.tokenizer.encode(renderPrompt({ ...q, text }))]),
    );
    const differs = one.findIndex((token, i) => token !== other[i]);
    const made = {
      candidates,
      tokens: candidateTokens(this.tokenizer, answers),
      beginning: one.subarray(0, Math.max(0, differs)),
    };
    if (this.kinds.size >= keptKinds) this.kinds.clear();
    this.kinds.set(key, made);
    return made;
  }

  private prepare(question: Question, gold: Meaning | undefined): Prepared {
    const { candidates, tokens, beginning } = this.kindOf(question);
    const all = gold ? [...tokens, answerTokens(this.tokenizer, renderAnswer(question, gold))] : tokens;
    const depth = all.reduce((top, { length }) => Math.max(top, length), 0);
    const room = Math.min(this.maxTokens, this.maxPositions - depth);
    const { tokens: prompt, cut } = questionTokens(this.tokenizer, question, room);
    const shared = begins(beginning, prompt) ? beginning.length : 0;
    return { question, candidates, cut, request: { prompt, candidates: all, shared } };
  }

  /** Answers in the order of the questions. @throws as `answers`. */
  async ask(questions: readonly Question[], options: AskOptions = {}): Promise<Answer[]> {
    const answers: Answer[] = [];
    for await (const answer of this.answers(questions, options)) answers.push(answer);
    return answers;
  }

  /**
   * Answers in the order of the questions, which are taken as they are needed.
   * @throws InvalidArgument when a question leaves no room for its text, or a gold is not on its scale or labels; the signal's
   *   reason.
   */
  async *answers(
    questions: Iterable<Question>,
    { golds, caller = '', signal }: AskOptions = {},
  ): AsyncGenerator<Answer, void> {
    const left = new AbortController();
    const options = {
      turn: this.scorer.enter(caller),
      signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
    };
    const groups: Promise<Answer[]>[] = [];
    let prepared: Prepared[] = [];
    const score = () => {
      const answers = this.score(prepared, options);
      // Heard of in its turn, or nobody waits for it any more.
      answers.catch(() => undefined);
      prepared = [];
      return groups.push(answers);
    };
    const others = async () => {
      await preparing.take();
      signal?.throwIfAborted();
    };
    let [asked, characters] = [0, 0];
    try {
      await others();
      for (const question of questions) {
        prepared.push(this.prepare(question, golds?.[asked++]));
        characters += question.text.length;
        if (characters >= charactersAtOnce) {
          await others();
          characters = 0;
        }
        if (prepared.length === groupSize && score() >= groupsAhead) yield* await groups.shift()!;
      }
      if (prepared.length > 0) score();
      for (const answers of groups) yield* await answers;
    } finally {
      left.abort();
      this.scorer.leave(options.turn);
    }
  }

  private async score(prepared: readonly Prepared[], options: ScoreOptions): Promise<Answer[]> {
    const scores = await this.scorer.score(
      prepared.map(({ request }) => request),
      options,
    );
    return prepared.map(({ question, candidates, request, cut }, i) => {
      const probabilities = softmax(scores[i].subarray(0, candidates.length));
      const distribution = candidates.map((candidate, n) => ({
        ...candidate,
        probability: probabilities[n],
      }));
      const hasGold = request.candidates.length > candidates.length;
      const goldLogProb = hasGold ? { goldLogProb: scores[i][candidates.length] } : {};
      return { ...answered(question, distribution), said: distribution, ...goldLogProb, cut };
    });
  }

  /** What it takes at most, about. */
  get memoryBytes(): number {
    return this.scorer.memoryBytes;
  }

  /** Gives back memory that only makes answers faster, as `Scorer.forget`. */
  forget(): Promise<void> {
    return this.scorer.forget();
  }

  /** Ends the thread, then releases the model's folders; questions under way are refused. */
  async close(): Promise<void> {
    await this.scorer.close();
    await releaseAll(this.held);
  }
}
