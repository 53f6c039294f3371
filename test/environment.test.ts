import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dataEnvironment } from '@emotune/data';
import { evaluationEnvironment } from '@emotune/evaluation';
import { featurizationEnvironment } from '@emotune/featurization';
import { inferenceEnvironment } from '@emotune/inference';
import { serviceEnvironment } from '@emotune/service';
import { tuningEnvironment } from '@emotune/tuning';
import { expect, it } from 'vitest';
import { z } from 'zod';

const services = {
  data: dataEnvironment,
  featurization: featurizationEnvironment,
  tuning: tuningEnvironment,
  evaluation: evaluationEnvironment,
  inference: inferenceEnvironment,
};
const shared = serviceEnvironment([]);

function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The variables of a schema: name, default, meaning. */
function variables(schema: z.ZodObject): [name: string, fallback: string, meaning: string][] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' });
  return Object.entries(properties).map(([name, property]) => {
    const { default: fallback, description = '' } = property as z.core.JSONSchema.JSONSchema;
    const missing = required.includes(name) ? 'needed' : '';
    return [
      `\`${name}\``,
      fallback === undefined || fallback === '' ? missing : `\`${fallback}\``,
      description,
    ];
  });
}

it('docs/environment.md tells of every variable of every service', () => {
  const common = variables(shared);
  const own = Object.entries(services).flatMap(([area, schema]) =>
    variables(schema)
      .filter(([name]) => !common.some(([known]) => known === name))
      .map((row) => [area, ...row]),
  );
  const calls = Object.entries(services).map(([area, schema]) => [
    area,
    (schema.shape.EMOTUNE_PEERS.meta() as { needed: readonly string[] }).needed.join(', '),
  ]);
  const document = readFileSync(fileURLToPath(new URL('../docs/environment.md', import.meta.url)), 'utf8');
  for (const table of [
    markdown([['every service reads', 'default', 'what it is'], ...common]),
    markdown([['service', 'reads also', 'default', 'what it is'], ...own]),
    markdown([['service', 'calls'], ...calls]),
  ])
    expect(document).toContain(table);
});
