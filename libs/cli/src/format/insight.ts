/** What an experiment taught, and why a trial came to be and ended, as text. */
import { tuning } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { parametersText, valueText } from './experiment.js';
import { facts, figure, nothing, percent, table } from './text.js';

const sections = (...parts: readonly string[]) => parts.filter(Boolean).join('\n\n');

function dependenceRow({ parameter, points }: tuning.PartialDependence): string[] {
  const sorted = [...points].sort((a, b) => a.mean - b.mean);
  const ends = [sorted[0], sorted[sorted.length - 1]];
  return [parameter, ...ends.flatMap(({ value, mean }) => [valueText(value!), figure(mean)])];
}

function leadText({ best, runnerUp, difference, shared, p, over }: tuning.BestAgainstRunnerUp): string {
  return `trial ${best} leads trial ${runnerUp} by ${figure(difference)} on average of ${shared} ${over || 'subtasks'}, p = ${figure(p)}`;
}

export function insightText(insight: tuning.Insight): string {
  const { importance, importanceMissing, interactions, dependence, front, best, history } = insight;
  return sections(
    facts([
      ['experiment', insight.experiment],
      ['measured trials', String(history.length)],
      ['best', figure(history.at(-1)?.best)],
      ['lead', best ? leadText(best) : ''],
      ['importance', importanceMissing],
    ]),
    importance.length === 0
      ? ''
      : table(
          ['parameter', 'alone (fANOVA)', 'shuffled', 'trials'],
          importance.map(({ parameter, fanova, permutation, trials }) => [
            parameter,
            percent(fanova),
            percent(permutation),
            String(trials),
          ]),
        ),
    interactions.length === 0
      ? ''
      : table(
          ['together', 'and', 'share'],
          interactions.map(({ first, second, fanova }) => [first, second, percent(fanova)]),
        ),
    dependence.length === 0
      ? ''
      : table(
          ['parameter', 'lowest at', 'objective', 'highest at', 'objective'],
          dependence.map(dependenceRow),
        ),
    front
      ? `${table(
          ['front', ...front.objectives],
          front.points
            .filter(({ optimal }) => optimal)
            .map(({ trial, values }) => [`trial ${trial}`, ...values.map(figure)]),
        )}\nhypervolume ${figure(front.hypervolume)} below ${front.reference.map(figure).join(', ')}`
      : '',
  );
}

const again = (reproduced: boolean | undefined) =>
  reproduced === undefined
    ? ''
    : reproduced
      ? 'the record gives the same values again'
      : 'the record gives other values: the sampler has changed, or what it saw was not recorded';

export function explanationText({ trial, suggestion, end }: tuning.TrialExplanation): string {
  const s = suggestion!;
  const e = end!;
  const rank = e.rank === undefined ? '' : `${e.rank} of ${e.measured}, ${figure(e.behind)} behind the best`;
  return sections(
    facts([
      ['trial', `${trial!.number} of ${trial!.experiment}`],
      ['state', shortEnumName(trial!.state)],
      ['parameters', parametersText(trial!.parameters)],
      ['why suggested', s.reason],
      ['known then', `${s.measured} measured, ${s.infeasible} infeasible, ${s.running} running`],
      ['replay', again(s.reproduced)],
      ['why it ended', e.reason],
      ['rank', rank],
      ...e.attempts.map(
        ({ attempt, outcome, reason }) =>
          [`attempt ${attempt}`, [outcome || 'running', reason].filter(Boolean).join(': ')] as const,
      ),
    ]),
    s.evidence.length === 0
      ? ''
      : table(
          ['parameter', 'value', 'of the best then', 'good trials, times as dense'],
          s.evidence.map(({ parameter, value, bestValue, logRatio }) => [
            parameter,
            valueText(value!),
            bestValue ? valueText(bestValue) : nothing,
            logRatio === undefined ? nothing : figure(Math.exp(logRatio)),
          ]),
        ),
  );
}
