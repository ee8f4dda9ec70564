import { Command, CommanderError } from 'commander';
import { registerFetch } from '../../client/cli/fetch.ts';
import { type Io, processIo } from '../../client/cli/io.ts';
import { registerKey } from '../../client/cli/key.ts';
import { registerPay } from '../../client/cli/pay.ts';
import { registerStream } from '../../client/cli/stream.ts';
import { registerWallet } from '../../client/cli/wallet.ts';
import { FlagsError } from '../../config/flags.ts';
import { ConfigError } from '../../config/problem.ts';
import { NodeError } from '../../node/node.ts';
import { StoreMismatchError } from '../ledger/ledger.ts';
import { StoreError } from '../ledger/store.ts';
import { VERSION } from '../version.ts';
import { registerCheckConfig } from './check-config.ts';
import { registerInit } from './init.ts';
import { registerRoutes } from './routes.ts';
import { registerSimnet } from './simnet.ts';
import { registerStart } from './start.ts';
import { registerStore } from './store.ts';

/** The `sluice` program: what sells and what pays. */
export function sluiceProgram(io: Io): Command {
  const program = new Command('sluice')
    .description('Sell HTTP APIs over the Lightning Network, and pay for them.')
    .version(VERSION)
    .showHelpAfterError()
    .showSuggestionAfterError();
  program.commandsGroup('To pay:');
  registerFetch(program, io);
  registerStream(program, io);
  registerKey(program, io);
  registerPay(program, io);
  registerWallet(program, io);
  program.commandsGroup('To sell:');
  registerInit(program, io);
  registerStart(program);
  registerCheckConfig(program, io);
  registerRoutes(program, io);
  registerStore(program, io);
  registerSimnet(program, io);
  return program;
}

/** What a person can mend is said in words; anything else is a bug and keeps its stack. */
function explain(error: unknown): string {
  if (error instanceof CommanderError) return '';
  if (!(error instanceof Error)) return String(error);
  const known = [ConfigError, FlagsError, NodeError, StoreError, StoreMismatchError];
  return known.some((kind) => error instanceof kind) ? error.message : (error.stack ?? error.message);
}

const io = processIo();
try {
  await sluiceProgram(io).parseAsync(process.argv);
} catch (error) {
  const message = explain(error);
  if (message !== '') io.stderr.write(`${message}\n`);
  io.setExitCode(1);
}
