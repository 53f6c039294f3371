/** Names of repositories of the Hugging Face Hub, as EmoTune writes them: `hf:[datasets/]org/name[@revision][:file]`. */
import { InvalidArgument, show } from '@emotune/base';

export interface HubId {
  readonly kind: 'model' | 'dataset';
  /** org/name, or a name alone. */
  readonly repo: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** One file of the repository; undefined: those that are needed. */
  readonly file?: string;
}

const repoPattern = /^(?:[A-Za-z0-9][\w.-]*\/)?[A-Za-z0-9][\w.-]*$/;
const revisionPattern = /^[A-Za-z0-9][\w./-]*$/;
const rule = 'hf:org/name, hf:org/name@revision or hf:datasets/org/name';

export function isHubId(text: string): boolean {
  return text.startsWith('hf:');
}

/** @throws InvalidArgument */
export function parseHubId(text: string, field: string): HubId {
  const refuse = () => InvalidArgument.at(field, `expected ${rule}, got ${show(text)}`);
  const parts = /^hf:(datasets\/)?([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(text);
  if (!parts) throw refuse();
  const [, datasets, repo, revision = 'main', file] = parts;
  const within = file?.split('/') ?? [];
  if (
    !repoPattern.test(repo) ||
    /--|\.\./.test(repo) ||
    !revisionPattern.test(revision) ||
    revision.includes('..') ||
    within.some((part) => part === '' || part === '.' || part === '..')
  )
    throw refuse();
  return { kind: datasets ? 'dataset' : 'model', repo, revision, ...(file ? { file } : {}) };
}

export function hubIdText({ kind, repo, revision, file }: HubId): string {
  return `hf:${kind === 'dataset' ? 'datasets/' : ''}${repo}@${revision}${file ? `:${file}` : ''}`;
}
