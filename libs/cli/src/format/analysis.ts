/** Analyses, as JSON and as text. */
import { common, type inference } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { cueJson } from './features.js';
import { figure, percent } from './text.js';

const { SKILL_BETTER, SKILL_NONE } = common.Skill;

function trust({ calibrated, trained, skill, warnings }: inference.Answer) {
  return {
    calibrated,
    trained,
    skill: skill === SKILL_BETTER ? 'better' : skill === SKILL_NONE ? 'none' : 'unknown',
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

function asked(answer: inference.Answer) {
  const { task, emotion, scale, value, low, high, labels, distribution, cut } = answer;
  const question = {
    task: shortEnumName(task),
    ...(emotion === '' ? {} : { emotion }),
    ...(cut ? { cut } : {}),
    ...trust(answer),
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
  const { confidence, within } = answer;
  const sure = {
    ...(confidence === undefined ? {} : { confidence }),
    ...(within.length > 0 ? { within } : {}),
  };
  // Emotions may be several, sentiment is one of those asked.
  return task === common.Task.TASK_EMOTION_CLASSIFICATION
    ? { ...question, labels, ...sure, probabilities }
    : { ...question, labels: Object.keys(probabilities), label: labels[0], ...sure, probabilities };
}

/** One object for each answer. */
export function analysisJson({ text, model, answers, cues }: inference.Analysis) {
  return answers.map((answer) => ({ text, ...asked(answer), cues: cues.map(cueJson), model }));
}

const shownLabels = 4;

function answerText({ scale, value, low, high, labels, confidence, distribution }: inference.Answer): string {
  if (value !== undefined) {
    const on = scale ? ` on ${scale.low}..${scale.high}` : '';
    const interval = low === undefined ? '' : `, 80 % in ${figure(low)} … ${figure(high)}`;
    return `${figure(value)}${on}${interval}`;
  }
  const likeliest = [...distribution]
    .sort((a, b) => b.probability - a.probability)
    .slice(0, shownLabels)
    .map((p) => `${p.answer} ${percent(p.probability)}`);
  const sure = confidence === undefined ? '' : `, right with ${percent(confidence)}`;
  return `${labels.join(', ')}${sure} (${likeliest.join(', ')})`;
}

/** Each word once, with what every lexicon says of it. */
function cuesText(cues: readonly common.Cue[]): string {
  const texts = [...Map.groupBy(cues, ({ start }) => start).values()].map(
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
  const warnings = [...new Set(answers.flatMap((answer) => answer.warnings))].map((text) => [
    'warning',
    text,
  ]);
  const lines = [...named, ['cues', cuesText(cues)], ['model', model], ...cut, ...warnings];
  const longest = Math.max(...lines.map(([name]) => name.length));
  return [JSON.stringify(text), ...lines.map(([name, value]) => `  ${name.padEnd(longest)}  ${value}`)].join(
    '\n',
  );
}
