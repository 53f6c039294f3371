/**
 * Asks a model by likelihood: every answer that a question allows is scored, so no answer can fall off its scale or
 * labels, and the spread comes with it. Numbers are expected values over a digit trie (Lukasik et al. 2024, RAFT).
 */
import {
  answerTokens,
  type Candidate,
  candidatesOf,
  candidateTokens,
  type Meaning,
  multiLabelThreshold,
  type Question,
  questionTokens,
  renderAnswer,
} from '@emotune/affect';
import { FailedPrecondition, InvalidArgument } from '@emotune/base';
import { OnnxExecutor } from '@emotune/engine';
import { loadAdapter, loadModel, loadTokenizer, longestRow, mergeAdapter, Scorer } from '@emotune/models';
import { endOfSequence, type Tokenizer } from '@emotune/text';
import { type Distribution, intervalOf, likeliest, marginalsOf, meanOf, softmax } from './distribution.js';

export interface Answer extends Meaning {
  /** Regression: bounds of the central 80 % interval on 0..1. */
  readonly low: number | null;
  readonly high: number | null;
  /** What the model holds of each allowed answer; adds up to 1. */
  readonly distribution: Distribution;
  /** Classification: probability that a label is part of the answer, in alphabetical order. */
  readonly marginals: readonly { readonly label: string; readonly probability: number }[];
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
  /** Longest prompt in tokens; longer texts lose their end. 512, or what the model can take. */
  readonly maxTokens?: number;
}

/** A folder that stays as it is until it is released. */
export interface HeldFolder {
  readonly path: string;
  release(): Promise<void>;
}

/** The answers of one kind of question, tokenised. */
interface Choices {
  readonly candidates: readonly Candidate[];
  readonly tokens: readonly Int32Array[];
}

/** Kinds of question whose choices are kept. */
const keptChoices = 256;

async function releaseAll(folders: readonly HeldFolder[]): Promise<void> {
  await Promise.all(folders.map((folder) => folder.release()));
}

/** A loaded model. Holds a thread, memory and the folders that its weights are mapped from; close it. */
export class Answerer {
  private held: readonly HeldFolder[] = [];
  private readonly choices = new Map<string, Choices>();

  private constructor(
    readonly tokenizer: Tokenizer,
    private readonly scorer: Scorer,
    private readonly maxTokens: number,
    private readonly maxPositions: number,
  ) {}

  /**
   * @throws NotFound when a file is missing; InvalidArgument when the checkpoint, adapter or tokenizer is malformed or they
   *   do not fit each other.
   */
  static async open({ folder, adapter, threads = 1, maxTokens = 512 }: AnswererOptions): Promise<Answerer> {
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
      await Scorer.create(model, OnnxExecutor.create, { threads }),
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
    threads: number,
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
          ? { folder, threads }
          : { folder: await hold(basePrefix), adapter: folder, threads },
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

  private choicesOf(q: Question): Choices {
    const key = JSON.stringify([q.scale, q.decimals, q.labelSet, q.multiLabel]);
    const known = this.choices.get(key);
    if (known) return known;
    const candidates = candidatesOf(q);
    const answers = candidates.map(({ answer }) => answer);
    const choices = { candidates, tokens: candidateTokens(this.tokenizer, answers) };
    if (this.choices.size >= keptChoices) this.choices.clear();
    this.choices.set(key, choices);
    return choices;
  }

  /**
   * Answers in the order of the questions. `golds` holds the known answer of each question.
   * @throws InvalidArgument when a question leaves no room for its text, or a gold is not on its scale or labels.
   */
  async ask(questions: readonly Question[], golds?: readonly Meaning[]): Promise<Answer[]> {
    const asked = questions.map((q, i) => {
      const { candidates, tokens } = this.choicesOf(q);
      const gold = golds && answerTokens(this.tokenizer, renderAnswer(q, golds[i]));
      const all = gold ? [...tokens, gold] : tokens;
      const depth = all.reduce((top, { length }) => Math.max(top, length), 0);
      const room = Math.min(this.maxTokens, this.maxPositions - depth);
      const { tokens: prompt, cut } = questionTokens(this.tokenizer, q, room);
      return { candidates, prompt, cut, tokens: all };
    });
    const scores = await this.scorer.score(
      asked.map(({ prompt, tokens }) => ({ prompt, candidates: tokens })),
    );
    return asked.map(({ candidates, cut }, i) => {
      const probabilities = softmax(scores[i].subarray(0, candidates.length));
      const distribution = candidates.map((candidate, n) => ({
        ...candidate,
        probability: probabilities[n],
      }));
      const goldLogProb = golds ? { goldLogProb: scores[i][candidates.length] } : {};
      return { ...answerOf(questions[i], distribution), ...goldLogProb, cut };
    });
  }

  /** Ends the thread, then releases the model's folders; questions under way are refused. */
  async close(): Promise<void> {
    await this.scorer.close();
    await releaseAll(this.held);
  }
}

function answerOf(q: Question, distribution: Distribution): Omit<Answer, 'cut'> {
  if (q.scale !== null) {
    const [low, high] = intervalOf(distribution, 0.8);
    return { value: meanOf(distribution), low, high, labels: [], distribution, marginals: [] };
  }
  const marginals = marginalsOf(distribution);
  const { multiLabel, threshold = multiLabelThreshold } = q;
  const held = multiLabel ? marginals.filter(({ probability }) => probability >= threshold) : [];
  const labels = held.length > 0 ? held.map(({ label }) => label) : likeliest(distribution).labels;
  return { value: null, low: null, high: null, labels, distribution, marginals };
}
