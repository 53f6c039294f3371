/**
 * ts-proto for a contract that servers and clients share: its code asks for Nest's decorators through `src/decorators.ts`,
 * and for rxjs as types only, so that a client loads neither. A `google.protobuf.Value` is the value itself (`src/values.ts`).
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { CodeGeneratorResponseSchema } from '@bufbuild/protobuf/wkt';

const tsProto = fileURLToPath(import.meta.resolve('ts-proto/protoc-gen-ts_proto'));
const { status, stdout } = spawnSync(process.execPath, [tsProto], {
  input: readFileSync(0),
  stdio: ['pipe', 'pipe', 'inherit'],
  maxBuffer: 64 * 1024 * 1024,
});
if (status !== 0) process.exit(status ?? 1);
const response = fromBinary(CodeGeneratorResponseSchema, stdout);
response.file = response.file.filter(({ name }) => name !== 'google/protobuf/struct.ts');
for (const file of response.file) {
  const source = '../'.repeat(file.name.split('/').length);
  file.content = file.content
    .replace(/^import (?=\{[^}]*\} from "(rxjs"|\.))/gm, 'import type ')
    .replace(/: any \| undefined }/g, ': PlainValue }')
    .replace(/(: |\| )any(?= \| undefined;|\[\]|\n)/g, '$1PlainValue')
    .replace(
      /^(?=\/\* eslint)(?=[\s\S]*PlainValue)/m,
      `import type { PlainValue } from "${source}src/values.js";\n`,
    )
    .replace('from "@nestjs/microservices"', `from "${source}src/decorators.js"`);
}
process.stdout.write(toBinary(CodeGeneratorResponseSchema, response));
