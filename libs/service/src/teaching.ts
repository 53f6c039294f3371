/** What a model was taught, as the contract says it and as the core knows it. */
import type { Teaching } from '@emotune/affect';
import type { tuning } from '@emotune/proto';
import { taskMessage, taskOf } from './messages.js';

export function teachingMessage({ cues, endTokenId, inquiries }: Teaching): tuning.Teaching {
  return {
    cues,
    ...(endTokenId === null ? {} : { endTokenId }),
    inquiries: inquiries.map(({ task, emotion, scale, labelSet, ...rest }) => ({
      ...rest,
      task: taskMessage(task),
      emotion: emotion ?? '',
      scale: scale ?? undefined,
      labels: [...labelSet],
    })),
  };
}

/** Undefined where the model does not tell. */
export function teachingOfModel({ teaching }: Pick<tuning.Model, 'teaching'>): Teaching | undefined {
  if (!teaching) return undefined;
  return {
    cues: teaching.cues,
    endTokenId: teaching.endTokenId ?? null,
    inquiries: teaching.inquiries.flatMap(({ task, emotion, scale, labels, ...rest }) => {
      const known = taskOf(task);
      return known
        ? [{ ...rest, task: known, emotion: emotion || null, scale: scale ?? null, labelSet: labels }]
        : [];
    }),
  };
}
