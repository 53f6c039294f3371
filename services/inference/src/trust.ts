/** How far an answer can be relied on: whether the model was trained for the question, and what its evaluation has shown. Pure. */
import { type Inquiry, inquiryKey, type Skill, type Teaching, unseenLanguages } from '@emotune/affect';

export interface Trust {
  /** It was trained on this kind of question. */
  readonly trained: boolean;
  readonly skill: Skill;
  /** Sentences. */
  readonly warnings: readonly string[];
}

/** "joy on 0..1", or "anger, fear, joy". */
function shown({ emotion, scale, labelSet }: Inquiry): string {
  if (scale === null) return labelSet.join(', ');
  return `${emotion === null ? '' : `${emotion} on `}${scale.low}..${scale.high}`;
}

/** Others that are named in a warning. */
const named = 5;

/** What a warning says a model was trained on instead. */
function instead(teaching: Teaching, { task }: Inquiry): string {
  const known = teaching.inquiries.filter((inquiry) => inquiry.task === task).map(shown);
  if (known.length === 0) return `it was trained on no ${task}`;
  const more = known.length > named ? ` and ${known.length - named} more` : '';
  return `it was trained on ${known.slice(0, named).join('; ')}${more}`;
}

/** @param language BCP 47, of the text; empty where not told */
export function trustIn(question: Inquiry, teaching: Teaching | undefined, language: string): Trust {
  if (!teaching)
    return {
      trained: false,
      skill: 'unknown',
      warnings: ['the model does not tell what it was trained for; its answers may mean nothing'],
    };
  const key = inquiryKey(question);
  const taught = teaching.inquiries.find((inquiry) => inquiryKey(inquiry) === key);
  const warnings: string[] = [];
  if (!taught)
    warnings.push(
      `the model was not trained for ${question.task} of ${shown(question)}: ${instead(teaching, question)}`,
    );
  if (taught?.skill === 'none')
    warnings.push(`on its test rows the model answered this no better than one constant answer`);
  const foreign = language === '' ? undefined : unseenLanguages(teaching, [language]);
  if (foreign)
    warnings.push(`the model saw no text in ${language}: it was trained on ${foreign.seen.join(', ')}`);
  return { trained: taught !== undefined, skill: taught?.skill ?? 'unknown', warnings };
}
