/** What an analysis request asks: checked, and as questions. Pure. */
import {
  calibrated,
  defaultQuestion,
  type Lexicons,
  type Question,
  scaleViolations,
  type Task,
  type Teaching,
  tasks,
  taughtInquiry,
} from '@emotune/affect';
import { InvalidArgument, show, type Violation, Violations } from '@emotune/base';
import { common, type inference } from '@emotune/proto';
import { taskOf } from '@emotune/service';

const longestText = 10_000;
const mostLabels = 50;
const longestName = 50;
const mostRequests = 1_000;
/** Of a text: so many of each of 1,000 fit into an answer. */
const mostCues = 100;

const regressions: readonly Task[] = ['sentiment-regression', 'emotion-regression'];
const classifications: readonly Task[] = ['sentiment-classification', 'emotion-classification'];

/** A word or a few, as it can stand in a prompt and in a list of labels. */
const name = /^[^\s,|](?:[^,|\p{Cc}]*[^\s,|])?$/u;
const nameRule = `1 to ${longestName} characters without "," and "|", and no space around`;

/** A language with script, region and the like after it (RFC 5646, section 2.1), not looked up. */
const languageTag = /^[a-z]{2,8}(?:-[a-z\d]{1,8}){0,7}$/i;

function nameFits(text: string): boolean {
  return text.length <= longestName && name.test(text);
}

function labelViolations(labels: readonly string[]): readonly Violation[] {
  if (labels.length > mostLabels)
    return [{ field: 'labels', description: `expected at most ${mostLabels}, got ${labels.length}` }];
  return labels.flatMap((label, i) => {
    const field = `labels[${i}]`;
    if (!nameFits(label)) return [{ field, description: `expected ${nameRule}, got ${show(label)}` }];
    const first = labels.indexOf(label);
    return first === i
      ? []
      : [{ field, description: `expected another label than labels[${first}], got ${show(label)}` }];
  });
}

function violationsOf(request: inference.AnalyzeRequest): readonly Violation[] {
  const { text, scale, labels, emotion } = request;
  const violations = new Violations();
  if (text.trim() === '')
    violations.add('text', `expected 1 to ${longestText} characters, got ${show(text)}`);
  else if (text.length > longestText)
    violations.add('text', `expected 1 to ${longestText} characters, got ${text.length}`);
  const task = taskOf(request.task);
  if (task === undefined && request.task !== common.Task.TASK_UNSPECIFIED)
    violations.add('task', `expected one of ${tasks.join(', ')}, got ${show(request.task)}`);
  const unfit = (field: string, given: boolean, fitting: readonly Task[]) => {
    if (given && task !== undefined && !fitting.includes(task))
      violations.add(field, `expected nothing for ${task}; it belongs to ${fitting.join(', ')}`);
  };
  unfit('scale', scale !== undefined && scale !== null, regressions);
  unfit('labels', labels.length > 0, classifications);
  unfit('emotion', emotion !== '', ['emotion-regression']);
  if (scale) violations.addAll(scaleViolations(scale, 'scale'));
  violations.addAll(labelViolations(labels));
  if (emotion !== '' && !nameFits(emotion))
    violations.add('emotion', `expected ${nameRule}, got ${show(emotion)}`);
  if (request.language !== '' && !languageTag.test(request.language))
    violations.add(
      'language',
      `expected a BCP 47 tag as en, pt-BR or zh-Hant, got ${show(request.language)}`,
    );
  return violations.list;
}

/** A request that can be asked. */
export interface Asked {
  readonly text: string;
  /** As a client names it; empty for the promoted or newest one. */
  readonly model: string;
  /** BCP 47; empty where not told. */
  readonly language: string;
  /** Questions that it asks. */
  readonly count: number;
  /** Asks a model that was taught so; undefined: that does not tell what it was taught. */
  ask(
    teaching: Teaching | undefined,
    lexicons: Lexicons,
  ): {
    readonly questions: readonly Question[];
    readonly cues: readonly common.Cue[];
  };
}

function asked(request: inference.AnalyzeRequest): Asked {
  const { text, model, scale, labels, emotion, language, raw } = request;
  const task = taskOf(request.task);
  const asks = task === undefined ? tasks : [task];
  const given = {
    ...(scale ? { scale } : {}),
    ...(labels.length > 0 ? { labels } : {}),
    ...(emotion === '' ? {} : { emotion }),
  };
  const ask = (teaching: Teaching | undefined, lexicons: Lexicons) => {
    const { cues, cueText } = language === '' ? lexicons.explain(text) : lexicons.explain(text, language);
    const questions = asks.map((each) => {
      const question = defaultQuestion(each, text, {
        ...given,
        cues: (teaching?.cues ?? true) ? cueText : '',
        taught: taughtInquiry(teaching, each, given.emotion),
      });
      return raw ? question : calibrated(teaching, question);
    });
    return { questions, cues: cues.slice(0, mostCues) };
  };
  return { text, model, language, count: asks.length, ask };
}

/** @throws InvalidArgument naming every field that is wrong. */
export function parseRequest(request: inference.AnalyzeRequest): Asked {
  new Violations(violationsOf(request)).throwIfAny();
  return asked(request);
}

/** @throws InvalidArgument naming every field of every request that is wrong. */
export function parseBatch(requests: readonly inference.AnalyzeRequest[]): Asked[] {
  if (requests.length < 1 || requests.length > mostRequests)
    throw InvalidArgument.at('requests', `expected 1 to ${mostRequests}, got ${requests.length}`);
  const violations = new Violations(
    requests.flatMap((request, i) =>
      violationsOf(request).map(({ field, description }) => ({
        field: `requests[${i}].${field}`,
        description,
      })),
    ),
  );
  violations.throwIfAny();
  return requests.map(asked);
}
