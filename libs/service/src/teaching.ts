/** What a model was taught, and how it answers, as the contract says it and as the core knows it. */
import type { Calibration, Curve, Skill, Teaching } from '@emotune/affect';
import { common, type tuning } from '@emotune/proto';
import { taskMessage, taskOf } from './messages.js';

const { SKILL_BETTER, SKILL_NONE, SKILL_UNKNOWN } = common.Skill;

const skillMessages = { better: SKILL_BETTER, none: SKILL_NONE, unknown: SKILL_UNKNOWN } as const;

export function skillMessage(skill: Skill): common.Skill {
  return skillMessages[skill];
}

export function skillOf(message: common.Skill): Skill {
  return message === SKILL_BETTER ? 'better' : message === SKILL_NONE ? 'none' : 'unknown';
}

function curveMessage({ method, x, y }: Curve): tuning.Curve {
  return { method, x: [...x], y: [...y] };
}

function calibrationMessage({
  task,
  emotion,
  labelSet,
  multiLabel,
  n,
  numbers,
  labels,
}: Calibration): tuning.Calibration {
  return {
    task: taskMessage(task),
    emotion: emotion ?? '',
    labelSet: [...labelSet],
    multiLabel,
    n,
    numbers: numbers
      ? { ...numbers, curve: curveMessage(numbers.curve), margins: numbers.margins.map((m) => ({ ...m })) }
      : undefined,
    labels: labels
      ? { ...labels, thresholds: { ...labels.thresholds }, confidence: curveMessage(labels.confidence) }
      : undefined,
  };
}

export function teachingMessage({ cues, endTokenId, inquiries, calibrations }: Teaching): tuning.Teaching {
  return {
    cues,
    ...(endTokenId === null ? {} : { endTokenId }),
    inquiries: inquiries.map(({ task, emotion, scale, labelSet, languages, skill, ...rest }) => ({
      ...rest,
      task: taskMessage(task),
      emotion: emotion ?? '',
      scale: scale ?? undefined,
      labels: [...labelSet],
      languages: [...languages],
      skill: skillMessage(skill),
    })),
    calibrations: calibrations.map(calibrationMessage),
  };
}

function curveOf(message: tuning.Curve): Curve {
  return { ...message, method: message.method as Curve['method'] };
}

function calibrationOfMessage({
  task,
  emotion,
  numbers,
  labels,
  ...rest
}: tuning.Calibration): Calibration[] {
  const known = taskOf(task);
  if (!known) return [];
  return [
    {
      ...rest,
      task: known,
      emotion: emotion || null,
      numbers: numbers
        ? {
            ...numbers,
            curve: curveOf(numbers.curve!),
            margins: numbers.margins.map((m) => ({ ...m, scale: m.scale! })),
          }
        : null,
      labels: labels ? { ...labels, confidence: curveOf(labels.confidence!) } : null,
    },
  ];
}

/** Undefined where the model does not tell. */
export function teachingOfModel({ teaching }: Pick<tuning.Model, 'teaching'>): Teaching | undefined {
  if (!teaching) return undefined;
  return {
    cues: teaching.cues,
    endTokenId: teaching.endTokenId ?? null,
    inquiries: teaching.inquiries.flatMap(({ task, emotion, scale, labels, skill, ...rest }) => {
      const known = taskOf(task);
      return known
        ? [
            {
              ...rest,
              task: known,
              emotion: emotion || null,
              scale: scale ?? null,
              labelSet: labels,
              skill: skillOf(skill),
            },
          ]
        : [];
    }),
    calibrations: teaching.calibrations.flatMap(calibrationOfMessage),
  };
}
