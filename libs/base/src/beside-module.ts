/** A program or thread beside the module at `url`, with the ending that this one has: sources are run as they are. */
export function besideModule(url: string, name: string): URL {
  return new URL(`./${name}.${url.endsWith('.ts') ? 'ts' : 'js'}`, url);
}
