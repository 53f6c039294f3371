/** Which objects clients may read, by names that mean nothing to them. */
import { InvalidArgument, NotFound, show } from '@emotune/base';
import { checkedKey } from './key.js';

/** What lies below these was made for users. Everything else in the store is the services' own. */
const folders = ['evaluations', 'exports', 'models'];

/** The object that an artifact's name stands for. @throws InvalidArgument for a name that no answer of ours holds. */
export function artifactKey(name: string, field: string): string {
  const refuse = (cause?: unknown): never => {
    throw InvalidArgument.at(
      field,
      `expected the name of an artifact as an answer gave it, got ${show(name)}`,
      {
        cause,
      },
    );
  };
  try {
    checkedKey(name);
  } catch (error) {
    return refuse(error);
  }
  return folders.some((folder) => name.startsWith(`${folder}/`)) ? name : refuse();
}

/** What a client is told when an artifact is gone. */
export function goneArtifact(name: string): NotFound {
  return new NotFound(`the artifact ${name} is not there any more; ask for it again`);
}
