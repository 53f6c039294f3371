/** The licence that a card's front matter (README.md) declares; empty where it declares none. */
export function licenceOfCard(text: string): string {
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1] ?? '';
  const field = (name: string) =>
    new RegExp(`^${name}:[ \\t]*(?:"([^"\\n]*)"|'([^'\\n]*)'|([^#\\n]*))`, 'm')
      .exec(head)
      ?.slice(1)
      .find((value) => value !== undefined)
      ?.trim();
  // Data sets may list theirs.
  const listed = /^license:[ \t]*\r?\n((?:[ \t]*-[ \t]+.*\r?\n?)+)/m.exec(`${head}\n`)?.[1];
  const all = listed
    ?.split('\n')
    .map((line) => line.replace(/^\s*-\s+/, '').trim())
    .filter(Boolean);
  const licence = all ? all.join(', ') : (field('license') ?? '');
  return (licence === 'other' ? field('license_name') || licence : licence).slice(0, 100);
}
