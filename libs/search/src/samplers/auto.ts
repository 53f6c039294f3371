/**
 * The sampler for those who name none: a Gaussian process while what it costs, at most some 150 ms a suggestion, is little
 * beside a trial, and TPE beyond. It is asked anew for every trial and depends on what TPE and the process may know of it: the
 * space, the history and what runs.
 *
 * Noise and failures speak for the process: it tells noise from effect, and learns from failures where not to look.
 */
import { z } from 'zod';
import { objectivesOf, type TrialRecord } from '../history.js';
import type { Choice, Sampler, SuggestContext } from '../sampler.js';
import { type Assignment, onlyValue, type SearchSpace } from '../space.js';
import { gp } from './gp.js';
import { tpe } from './tpe.js';

const settings = z.strictObject({
  /** Random trials first: until so many are measured, or half of them while the others run; with TPE measured or infeasible. */
  startUpTrials: z.number().int().min(1).default(10),
  /** 0: whatever it costs, 1: improvement per cost. */
  costPower: z.number().min(0).max(1).default(0),
});

type AutoSettings = z.output<typeof settings>;

/** Best and latest trials that the process is made from. */
const maxPoints = 200;
/** Of so many trials nobody waits for the single one, and TPE, which forgets none of them, has enough of them. */
const mostTrials = 1000;
/** The process learns weights of each parameter. */
const mostParameters = 40;
/** The process answers one after the other; TPE asks it for a part of so many alone. */
const mostRunning = 20;

function choice(space: SearchSpace, history: readonly TrialRecord[]): Choice {
  const by = (name: string, reason: string): Choice => ({ name, reason });
  if (history.some((record) => objectivesOf(record).length > 1)) return by('tpe', 'several objectives');
  const free = space.parameters.filter((parameter) => onlyValue(parameter) === undefined).length;
  if (free > mostParameters) return by('tpe', `${free} parameters, more than ${mostParameters}`);
  const running = history.filter(({ state }) => state === 'running').length;
  if (running > mostRunning) return by('tpe', `${running} trials run, more than ${mostRunning}`);
  if (history.length - running > mostTrials)
    return by('tpe', `${history.length - running} trials have ended, more than ${mostTrials}`);
  return by('gp', 'a process costs little beside a trial');
}

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  own: AutoSettings,
): Assignment {
  return choice(space, history).name === 'gp'
    ? gp.suggest(space, history, context, gp.settings.parse({ ...own, maxPoints }))
    : tpe.suggest(space, history, context, tpe.settings.parse(own));
}

export const auto: Sampler<AutoSettings> = { settings, suggest, choice };
