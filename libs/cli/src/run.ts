/** The `emotune` command as a function: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { InvalidArgument, policyOf, printable, printableJson } from '@emotune/base';
import { Command, CommanderError } from 'commander';
import type { Commands } from './commands.js';
import { type Io, Stopped } from './io.js';

const examples = `
Examples:
  emotune up                                          serve the platform of .emotune on 127.0.0.1:50051
  emotune dataset create -f dataset.yaml
  emotune experiment submit -f experiment.yaml --watch
  emotune analyze "What a wonderful surprise!"

"emotune complete bash" (zsh, fish, powershell) prints what completes commands and options in a shell.

Without a server, a command talks to the platform that serves the data folder, or starts one for as long as it needs.
Exit codes: 0 ok, 1 failed, 2 bad arguments or refused input, 3 not found, 4 unavailable.`;

function programOf(io: Io, json: boolean): Command {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const program = new Command('emotune')
    .description('Turns an open language model into an affective one.')
    .version(version, '--version', 'show the version')
    .option('--json', 'one JSON document on stdout, JSON lines for streams')
    .option(
      '--server <address>',
      'host:port or https://host:port to talk to, or area=host:port,… where data, featurization, tuning, evaluation and inference have an address each (default: EMOTUNE_SERVER, else the data folder)',
    )
    .option('--data-dir <dir>', 'folder of the embedded platform (default: EMOTUNE_DATA_DIR, else .emotune)')
    .addHelpText('after', examples)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => io.stdout.write(printable(text)),
      writeErr: (text) => json || io.stderr.write(printable(text)),
      outputError: (text, write) => write(text.replace(/^error: /, 'emotune: ')),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError('Add --help to see what is possible.')
    .exitOverride();
  return program;
}

function errorText(error: unknown): string {
  if (error instanceof InvalidArgument && error.violations.some(({ field }) => field !== '')) {
    const lines = error.violations.map(({ field, description }) => `  ${field}: ${description}`);
    return `emotune: this cannot be done as asked\n${lines.join('\n')}`;
  }
  return `emotune: ${error instanceof Error ? error.message : error}`;
}

/** What failed, as other programs read it: the status by gRPC's name, and every violation by its path. */
function errorJson(error: unknown, exitCode: number): string {
  const { status, retryable } = policyOf(error);
  const violations =
    error instanceof InvalidArgument ? error.violations.filter(({ field }) => field !== '') : [];
  return JSON.stringify({
    error: {
      status: error instanceof Stopped ? 'CANCELLED' : status,
      exitCode,
      message: error instanceof Error ? error.message : String(error),
      retryable,
      ...(violations.length > 0 ? { violations } : {}),
    },
  });
}

/** A command line that cannot be understood, which Commander has told a person of already. */
function usageError({ code, message }: CommanderError): InvalidArgument {
  const text = code === 'commander.help' ? 'expected a command; --help shows all' : message;
  return InvalidArgument.at('', text.replace(/^error: /, ''));
}

/** Only the command that is called is loaded; all are when none is: for the help, and to say what might have been meant. */
async function addCommands(
  program: Command,
  argv: readonly string[],
  io: Io,
  commands: Commands,
): Promise<void> {
  const [called] = program.parseOptions([...argv]).operands;
  const loads = Object.hasOwn(commands, called) ? [commands[called]] : Object.values(commands);
  for (const add of await Promise.all(loads.map((load) => load()))) add(program, io);
  // It writes to the process's own stdout: a shell asks it.
  if (called === 'complete') (await import('@bomb.sh/tab/commander')).default(program);
}

/** Runs one command line, without the program's name. Never throws. */
export async function run(argv: readonly string[], io: Io, commands: Commands): Promise<number> {
  const json = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length).includes('--json');
  const tell = (error: unknown, exitCode: number) => {
    const text = () => (json ? printableJson(errorJson(error, exitCode)) : printable(errorText(error)));
    if (exitCode !== 0) io.stderr.write(`${text()}\n`);
    return exitCode;
  };
  try {
    const program = programOf(io, json);
    await addCommands(program, argv, io, commands);
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return 0;
      return json ? tell(usageError(thrown), 2) : 2;
    }
    // Whatever broke off because of it, the reason is that the command was told to end.
    const error = io.signal.aborted && !(thrown instanceof Stopped) ? io.signal.reason : thrown;
    return tell(error, policyOf(error).exitCode);
  }
}
