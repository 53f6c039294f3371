/** The chart's README: its head, and a table of all values with what the comments of values.yaml say of them. */
import { isMap, isScalar, type Node, type Pair, parseDocument, type Scalar, type YAMLMap } from 'yaml';

interface Row {
  readonly path: string;
  /** As JSON. */
  readonly fallback: string;
  readonly meaning: string;
}

/** Text after the marks of a comment: `# -- …`. */
function textOf(comment: string | null | undefined): string {
  const [, text] = /(?:^|\n) -- ([\s\S]*)$/.exec(comment ?? '') ?? [];
  return (text ?? '').replace(/\n ?/g, ' ').trim();
}

/** The comment before a key; that of the first key of a mapping is the mapping's. */
function meaningOf(pair: Pair<Scalar<string>, Node>, map: YAMLMap, first: boolean): string {
  return textOf(pair.key.commentBefore) || (first ? textOf(map.commentBefore) : '');
}

function rowsOf(map: YAMLMap, path: string): Row[] {
  return (map.items as Pair<Scalar<string>, Node>[]).flatMap((pair, i) => {
    const here = path === '' ? pair.key.value : `${path}.${pair.key.value}`;
    const meaning = meaningOf(pair, map, i === 0);
    const { value } = pair;
    // Block mappings are groups; those in braces are values.
    if (isMap(value) && value.items.length > 0 && !value.flow) {
      const rows = rowsOf(value, here);
      return meaning === '' ? rows : [{ path: here, fallback: '', meaning }, ...rows];
    }
    const json = JSON.stringify(isScalar(value) ? value.value : value?.toJSON());
    return [{ path: here, fallback: `\`${json}\``, meaning }];
  });
}

const likeData = ['featurization', 'tuning', 'evaluation', 'inference'];

/** Every value of a chart. What a service has as `data` has it is left out. */
function valueRows(values: string): Row[] {
  const rows = rowsOf(parseDocument(values).contents as YAMLMap, '');
  const known = new Map(rows.map(({ path, fallback }) => [path, fallback]));
  return rows.filter(({ path, fallback, meaning }) => {
    const [area, ...rest] = path.split('.');
    const same = known.get(['data', ...rest].join('.'));
    return !likeData.includes(area) || rest.length === 0 || same !== fallback || meaning !== '';
  });
}

/** @param head Markdown before the table @param values the text of values.yaml */
export function readmeOf(head: string, values: string): string {
  const cells = valueRows(values).map(({ path, fallback, meaning }) => [`\`${path}\``, fallback, meaning]);
  const lines = [['value', 'default', 'what it is'], ['---', '---', '---'], ...cells].map((row) =>
    `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`.replaceAll('|  |', '| |'),
  );
  return `${head.trimEnd()}\n\n${lines.join('\n')}\n`;
}
