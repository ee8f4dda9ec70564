import { Command, CommanderError } from 'commander';
import { type Io, processIo } from '../../client/cli/io.ts';
import { FlagsError } from '../../config/flags.ts';
import { ConfigError } from '../../config/problem.ts';
import { NodeError } from '../../node/node.ts';
import { StoreMismatchError } from '../ledger/ledger.ts';
import { StoreError } from '../ledger/store.ts';
import { VERSION } from '../version.ts';

type Register = (program: Command, io: Io) => void;

/** What each command is loaded from: one that pays need not load the gateway. */
const TO_PAY: Readonly<Record<string, () => Promise<Register>>> = {
  fetch: async () => (await import('../../client/cli/fetch.ts')).registerFetch,
  stream: async () => (await import('../../client/cli/stream.ts')).registerStream,
  key: async () => (await import('../../client/cli/key.ts')).registerKey,
  pay: async () => (await import('../../client/cli/pay.ts')).registerPay,
  wallet: async () => (await import('../../client/cli/wallet.ts')).registerWallet,
};
const TO_SELL: Readonly<Record<string, () => Promise<Register>>> = {
  init: async () => (await import('./init.ts')).registerInit,
  start: async () => (await import('./start.ts')).registerStart,
  'check-config': async () => (await import('./check-config.ts')).registerCheckConfig,
  routes: async () => (await import('./routes.ts')).registerRoutes,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  reconcile: async () => (await import('./reconcile.ts')).registerReconcile,
  store: async () => (await import('./store.ts')).registerStore,
  simnet: async () => (await import('./simnet.ts')).registerSimnet,
};

/**
 * The `sluice` program: what pays and what sells.
 * @param wanted - the command that was typed: only that one is loaded; anything else loads all of them, for the help
 */
export async function sluiceProgram(io: Io, wanted: string | undefined): Promise<Command> {
  const program = new Command('sluice')
    .description('Sell HTTP APIs over the Lightning Network, and pay for them.')
    .version(VERSION)
    .showHelpAfterError()
    .showSuggestionAfterError();
  const known = Object.keys({ ...TO_PAY, ...TO_SELL });
  const add = async (group: string, commands: typeof TO_PAY): Promise<void> => {
    program.commandsGroup(group);
    for (const [name, load] of Object.entries(commands)) {
      if (name === wanted || wanted === undefined || !known.includes(wanted)) (await load())(program, io);
    }
  };
  await add('To pay:', TO_PAY);
  await add('To sell:', TO_SELL);
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
  const program = await sluiceProgram(io, process.argv[2]);
  await program.parseAsync(process.argv);
} catch (error) {
  const message = explain(error);
  if (message !== '') io.stderr.write(`${message}\n`);
  io.setExitCode(1);
}
