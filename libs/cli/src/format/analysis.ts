/** Analyses, as JSON and as text. */
import { common, type inference } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { cueJson } from './features.js';
import { figure, percent } from './text.js';

function asked(answer: inference.Answer) {
  const { task, emotion, scale, value, low, high, labels, distribution, cut } = answer;
  const question = {
    task: shortEnumName(task),
    ...(emotion === '' ? {} : { emotion }),
    ...(cut ? { cut } : {}),
  };
  if (value !== undefined) {
    return {
      ...question,
      scale,
      value,
      ...(low === undefined || high === undefined ? {} : { interval: { low, high } }),
      distribution: distribution.map((p) => ({ value: Number(p.answer), probability: p.probability })),
    };
  }
  const probabilities = Object.fromEntries(distribution.map((p) => [p.answer, p.probability]));
  // Emotions may be several, sentiment is one of those asked.
  return task === common.Task.TASK_EMOTION_CLASSIFICATION
    ? { ...question, labels, probabilities }
    : { ...question, labels: Object.keys(probabilities), label: labels[0], probabilities };
}

/** One object for each answer. */
export function analysisJson({ text, model, answers, cues }: inference.Analysis) {
  return answers.map((answer) => ({ text, ...asked(answer), cues: cues.map(cueJson), model }));
}

const shownLabels = 4;

function answerText({ scale, value, low, high, labels, distribution }: inference.Answer): string {
  if (value !== undefined) {
    const on = scale ? ` on ${scale.low}..${scale.high}` : '';
    const interval = low === undefined ? '' : `, 80 % in ${figure(low)} … ${figure(high)}`;
    return `${figure(value)}${on}${interval}`;
  }
  const likeliest = [...distribution]
    .sort((a, b) => b.probability - a.probability)
    .slice(0, shownLabels)
    .map((p) => `${p.answer} ${percent(p.probability)}`);
  return `${labels.join(', ')} (${likeliest.join(', ')})`;
}

/** Each word once, with what every lexicon says of it. */
function cuesText(cues: readonly common.Cue[]): string {
  const words = new Map<number, common.Cue[]>();
  for (const cue of cues) words.set(cue.start, [...(words.get(cue.start) ?? []), cue]);
  const texts = [...words.values()].map(
    (found) => `${found[0].text} (${found.map((cue) => `${cue.lexicon} ${figure(cue.score)}`).join(', ')})`,
  );
  return texts.join(', ') || 'none';
}

export function analysisText({ text, model, answers, cues }: inference.Analysis): string {
  const named = answers.map((answer) => {
    const of = answer.emotion === '' ? '' : ` of ${answer.emotion}`;
    return [`${shortEnumName(answer.task)}${of}`, answerText(answer)];
  });
  const cut = answers.some((answer) => answer.cut)
    ? [['note', 'the text was too long for the model and lost its end']]
    : [];
  const lines = [...named, ['cues', cuesText(cues)], ['model', model], ...cut];
  const longest = Math.max(...lines.map(([name]) => name.length));
  return [JSON.stringify(text), ...lines.map(([name, value]) => `  ${name.padEnd(longest)}  ${value}`)].join(
    '\n',
  );
}
