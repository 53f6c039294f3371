/**
 * Whether this Node.js can run us: asked before anything else is loaded, of which an older one may not know the syntax or the
 * imports. So this file has neither imports nor new syntax, and who uses it imports nothing beside it.
 */

/** What is used of it last: `zlib.zstdDecompressSync`. */
const least: readonly [major: number, minor: number] = [22, 15];

/** What to tell the user of a Node.js of this version; nothing where it can run us. */
export function refusalOf(version: string): string | undefined {
  const [major, minor] = version.split('.').map(Number);
  if (major > least[0] || (major === least[0] && minor >= least[1])) return undefined;
  return `emotune: Node.js ${least.join('.')} or newer is needed, this is ${version}; "npm start" and "npm run emotune" bring their own`;
}

/** Loads the program, or says that this Node.js is too old for it. */
export async function onSupportedNode(load: () => Promise<unknown>): Promise<void> {
  const refusal = refusalOf(process.versions.node);
  if (refusal === undefined) await load();
  else {
    process.stderr.write(`${refusal}\n`);
    process.exitCode = 1;
  }
}
