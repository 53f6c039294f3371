/** The `emotune` command. */
import { InvalidArgument, NotFound } from '@emotune/base';
import { Command } from 'commander';
import { parityReport, tolerance } from './parity.js';

/** INTERFACES: 0 ok, 1 failed, 2 bad arguments or refused input, 3 not found. */
function exitCodeOf(error: unknown): number {
  if (error instanceof InvalidArgument) return 2;
  return error instanceof NotFound ? 3 : 1;
}

const program = new Command('emotune')
  .description('Turns an open language model into an affective one.')
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program
  .command('parity')
  .description("compare models of ours with Hugging Face's results in fixture folders")
  .argument('<dir...>', 'folders with a checkpoint or adapter and case-*.safetensors')
  .action(async (dirs: string[]) => {
    process.stdout.write(
      `  ${'case'.padEnd(42)} ${['logits', 'loss', 'gradient', 'relative', 'adamw'].map((h) => h.padStart(8)).join(' ')}\n`,
    );
    let ok = true;
    for (const dir of dirs) {
      const report = await parityReport(dir);
      process.stdout.write(`${report.lines.join('\n')}\n`);
      ok &&= report.ok;
    }
    const { logits, loss, gradient, adamw } = tolerance;
    process.stdout.write(
      `tolerance: logits ${logits}, loss ${loss}, gradient ${gradient} relative, adamw losses ${adamw}\n`,
    );
    process.exitCode = ok ? 0 : 1;
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`emotune: ${(error as Error).message}\n`);
  process.exitCode = exitCodeOf(error);
}
