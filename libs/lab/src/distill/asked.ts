/** Which questions are asked of which texts, and how a student is taught the answers. Pure. */
import {
  answerTokens,
  bundledLexicons,
  type Candidate,
  candidatesOf,
  candidateTokens,
  decimalsOf,
  type Example,
  type Gold,
  type Inquiry,
  inquiryKey,
  isRegression,
  paraphrases,
  type Question,
  questionTokens,
  renderAnswer,
  renderPrompt,
} from '@emotune/affect';
import { InvalidArgument, Rng, show } from '@emotune/base';
import type { Tokenizer } from '@emotune/text';
import type { Row } from '@emotune/training';

/** A text, and what people said of it. */
export interface TaughtText {
  readonly id: string;
  readonly text: string;
  /** BCP 47. */
  readonly language: string;
  readonly examples: readonly Example[];
}

/** A question about a text, which every teacher is asked alike. */
export interface Asked {
  readonly text: TaughtText;
  readonly inquiry: Inquiry;
  /** Number of the inquiry. */
  readonly kind: number;
  /** Of people, as many as differ; the answers to a question of the same kind, whatever their scale. */
  readonly golds: readonly Gold[];
}

/** Numbers stand for the same on any scale. */
function answersTo(example: Example, inquiry: Inquiry): boolean {
  if (isRegression(inquiry.task)) return example.task === inquiry.task && example.emotion === inquiry.emotion;
  return inquiryKey(example) === inquiryKey(inquiry);
}

/** Every text with its questions, those of one kind together; `perText` of them drawn by the seed. */
export function askedOf(
  texts: readonly TaughtText[],
  inquiries: readonly Inquiry[],
  { perText = inquiries.length, seed }: { readonly perText?: number | undefined; readonly seed: number },
): Asked[] {
  const chosen = texts.map(
    ({ id }) => new Set(Rng.of(seed, 'questions', id).shuffle(inquiries).slice(0, perText)),
  );
  return inquiries.flatMap((inquiry, kind) =>
    texts.flatMap((text, i) => {
      if (!chosen[i].has(inquiry)) return [];
      const golds = new Map(
        text.examples
          .filter((example) => answersTo(example, inquiry))
          .map(({ gold }) => [JSON.stringify([gold.value, gold.labels]), gold]),
      );
      return [{ text, inquiry, kind, golds: [...golds.values()] }];
    }),
  );
}

/** The question of an inquiry about a text. */
export function questionAbout(
  inquiry: Inquiry,
  text: string,
  { cues, paraphrase }: Pick<Question, 'cues' | 'paraphrase'>,
): Question {
  return {
    ...inquiry,
    text,
    decimals: inquiry.scale === null ? 0 : decimalsOf(inquiry.scale),
    cues,
    paraphrase,
  };
}

/** Without blanks, which tokenizers may add or drop. */
const bare = (text: string) => text.toLowerCase().replace(/\s+/g, '');

/**
 * The tokens of a question's candidates.
 * @throws InvalidArgument naming answers that the tokenizer has no tokens for, or cannot tell apart.
 */
export function checkedCandidates(
  tokenizer: Tokenizer,
  candidates: readonly Candidate[],
  field: string,
): Int32Array[] {
  const answers = candidates.map(({ answer }) => answer);
  const unwritten = answers.find(
    (answer) => bare(tokenizer.decode(tokenizer.encode(answer))) !== bare(answer),
  );
  if (unwritten !== undefined)
    throw InvalidArgument.at(
      field,
      `expected a tokenizer with tokens for the answer ${show(unwritten)}, got none`,
    );
  const tokens = candidateTokens(tokenizer, answers);
  const seen = new Map<string, string>();
  tokens.forEach((ids, i) => {
    const before = seen.get(ids.join());
    if (before !== undefined)
      throw InvalidArgument.at(
        field,
        `expected other tokens for the answers ${show(before)} and ${show(answers[i])}, got the same`,
      );
    seen.set(ids.join(), answers[i]);
  });
  return tokens;
}

interface StudentOptions {
  readonly tokenizer: Tokenizer;
  /** Of a row. */
  readonly maxTokens: number;
  readonly variants: number;
  /** Share of rows with cues. */
  readonly cues: number;
  readonly seed: number;
}

/** A student's row with what it is asked. */
export interface StudentRow extends Row {
  readonly inquiry: Inquiry;
}

/** Makes a student's rows of what teachers said. */
export class StudentRows {
  private readonly kinds = new Map<
    Inquiry,
    {
      readonly candidates: readonly Candidate[];
      readonly choices: NonNullable<Row['teacher']>['choices'];
      readonly room: number;
    }
  >();

  constructor(private readonly options: StudentOptions) {}

  private kindOf(inquiry: Inquiry) {
    const known = this.kinds.get(inquiry);
    if (known) return known;
    const { tokenizer, maxTokens } = this.options;
    const candidates = candidatesOf(questionAbout(inquiry, '', { cues: '', paraphrase: 0 }));
    const tokens = checkedCandidates(tokenizer, candidates, 'student');
    const [first] = candidates;
    const ended = tokens[0].length === answerTokens(tokenizer, first.answer).length;
    const longest = candidates.reduce(
      (most, { answer }) => Math.max(most, answerTokens(tokenizer, answer).length),
      0,
    );
    const made = { candidates, choices: { candidates: tokens, ended }, room: maxTokens - longest };
    this.kinds.set(inquiry, made);
    return made;
  }

  /** As a teacher would answer that holds all to be as likely. */
  uniform(inquiry: Inquiry): Float32Array {
    const { length } = this.kindOf(inquiry).candidates;
    return new Float32Array(length).fill(1 / length);
  }

  /**
   * A row for each wording and each gold, or one for the teachers' likeliest answer where there is no gold.
   * @throws InvalidArgument where a question leaves no room for its text.
   */
  of({ text, inquiry, kind, golds }: Asked, probabilities: Float32Array): StudentRow[] {
    const { tokenizer, variants, cues, seed } = this.options;
    const { candidates, choices, room } = this.kindOf(inquiry);
    const likeliest = candidates[probabilities.indexOf(Math.max(...probabilities))];
    const rng = Rng.of(seed, 'student', text.id, kind);
    const wordings = rng.shuffle(Array.from({ length: paraphrases }, (_, i) => i)).slice(0, variants);
    return wordings.flatMap((paraphrase, v) => {
      const cue = rng.uniform() < cues ? bundledLexicons().explain(text.text, text.language).cueText : '';
      const question = questionAbout(inquiry, text.text, { cues: cue, paraphrase });
      const prompt = promptOf(tokenizer, question, room);
      const row = (answer: string, gold: boolean, n: number): StudentRow => {
        const tokens = Int32Array.from([...prompt, ...answerTokens(tokenizer, answer)]);
        return {
          id: `${text.id}#${kind}.${v}.${n}`,
          task: inquiry.task,
          tokens,
          answerStart: prompt.length,
          teacher: { choices, probabilities, gold },
          inquiry,
        };
      };
      if (golds.length === 0) return [row(likeliest.answer, false, 0)];
      return golds.map((gold, n) => row(renderAnswer(question, gold), true, n));
    });
  }
}

function promptOf(tokenizer: Tokenizer, question: Question, room: number): Int32Array {
  try {
    return questionTokens(tokenizer, question, room).tokens;
  } catch (cause) {
    if (!(cause instanceof InvalidArgument)) throw cause;
    throw InvalidArgument.at(
      'student',
      `expected a model that holds the ${question.task} question ${show(renderPrompt({ ...question, text: '', cues: '' }))}: ${cause.violations[0].description}`,
      { cause },
    );
  }
}
