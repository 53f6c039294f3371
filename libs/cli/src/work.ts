/**
 * What a platform that is started for one command does in the background meanwhile: the one place that says which commands
 * carry work on. One that is not named only asks, or leaves a note for a platform that does.
 */
import type { Work } from '@emotune/service/client';
import type { Command } from 'commander';

type Options = Readonly<Record<string, unknown>>;

const carriedOn: Readonly<Record<string, Work | ((options: Options) => Work)>> = {
  start: 'trials',
  up: 'trials',
  'experiment submit': ({ watch }) => (watch ? 'trials' : 'nothing'),
  'experiment watch': 'trials',
  'dataset create': ({ wait }) => (wait ? 'builds' : 'nothing'),
  'features create': ({ wait }) => (wait ? 'builds' : 'nothing'),
  evaluate: 'builds',
};

function wordsOf(command: Command): string {
  const words: string[] = [];
  for (let c: Command | null = command; c?.parent; c = c.parent) words.unshift(c.name());
  return words.join(' ');
}

export function workOf(command: Command): Work {
  const work = carriedOn[wordsOf(command)] ?? 'nothing';
  return typeof work === 'string' ? work : work(command.opts());
}
