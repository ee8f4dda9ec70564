import path from 'node:path';
import { parseArgs } from 'node:util';
import { MissingBinariesError } from './binaries.ts';
import {
  buildCommand,
  type CommandDeps,
  mineCommand,
  RegtestError,
  resetCommand,
  startCommand,
  statusCommand,
  stopCommand,
} from './commands.ts';

/*
 * `npm run regtest -- …`: a private Lightning network on this machine, with a gateway on it.
 */

const USAGE = `npm run regtest -- COMMAND

  start [--no-gateway] [-- FLAGS]   btcd, two LND nodes with a channel, and a gateway, until Ctrl-C;
                                    FLAGS go to the gateway: -- --upstream http://127.0.0.1:3000 --price "10 sat"
  status                            what runs, where, and what each side of the channel holds
  mine [BLOCKS]                     mine blocks (1)
  stop                              end the network that runs
  reset                             delete the network that is stopped
  build                             only get lnd and btcd ready

  --dir DIR                         where the network lives (default: .sluice/regtest)`;

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals, rest } = readArguments(argv);
  const [command, number] = positionals;
  if (values.help === true || command === undefined) return say(USAGE);
  const deps = { env: process.env, dir: path.resolve(values.dir), say, interrupted: untilInterrupted() };
  await run(command, number, deps, {
    gateway: values['no-gateway'] === true ? 'no' : 'yes',
    gatewayArgs: rest,
  });
}

async function run(
  command: string,
  number: string | undefined,
  deps: CommandDeps,
  options: Parameters<typeof startCommand>[1],
): Promise<void> {
  switch (command) {
    case 'start':
      return await startCommand(deps, options);
    case 'status':
      return await statusCommand(deps);
    case 'mine':
      return await mineCommand(deps, readBlocks(number));
    case 'stop':
      return await stopCommand(deps);
    case 'reset':
      return await resetCommand(deps);
    case 'build':
      return await buildCommand(deps);
    default:
      throw new RegtestError(`There is no command "${command}".\n\n${USAGE}`);
  }
}

/** What comes after `--` belongs to the gateway. */
function readArguments(argv: readonly string[]) {
  const end = argv.indexOf('--');
  const [own, rest] = end < 0 ? [argv, []] : [argv.slice(0, end), argv.slice(end + 1)];
  try {
    const parsed = parseArgs({
      args: [...own],
      allowPositionals: true,
      options: {
        dir: { type: 'string', default: path.join('.sluice', 'regtest') },
        'no-gateway': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    return { ...parsed, rest };
  } catch (error) {
    throw new RegtestError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function readBlocks(text = '1'): number {
  const blocks = Number(text);
  if (Number.isInteger(blocks) && blocks >= 1 && blocks <= 1_000) return blocks;
  throw new RegtestError('BLOCKS is a number from 1 to 1000.');
}

/** The first Ctrl-C ends the network well; the second one ends it at once. */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  return controller.signal;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const known = error instanceof RegtestError || error instanceof MissingBinariesError;
  process.stderr.write(
    `${known || !(error instanceof Error) ? String(error instanceof Error ? error.message : error) : error.stack}\n`,
  );
  process.exitCode = 1;
}
