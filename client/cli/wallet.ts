import type { Command } from 'commander';
import { formatMsat } from '../../node/msat.ts';
import type { PaymentRecord } from '../../node/node.ts';
import type { FullWallet } from '../wallet.ts';
import { describeFailure, UsageError } from './exit-codes.ts';
import { type Io, say } from './io.ts';
import { addWalletOptions, type OpenedWallet, openFullWallet, type WalletOptions } from './open-wallet.ts';
import { printable } from './printable.ts';

interface WalletCommandOptions extends WalletOptions {
  readonly json?: boolean;
  readonly limit?: string;
}

const MAX_HISTORY = 1_000;

/** Adds `sluice wallet balance` and `sluice wallet history`. */
export function registerWallet(program: Command, io: Io): void {
  const group = program.command('wallet').description('what the paying wallet holds and has paid');
  const balance = group.command('balance').description('what can be spent').option('--json', 'print JSON');
  const history = group
    .command('history')
    .description('the newest payments, newest first')
    .option('-n, --limit <count>', 'how many', '20')
    .option('--json', 'print one JSON object a line');
  const run =
    (show: (opened: OpenedWallet<FullWallet>, options: WalletCommandOptions) => Promise<string>) =>
    async (options: WalletCommandOptions): Promise<void> => {
      try {
        io.stdout.write(await show(await openFullWallet(options, io), options));
      } catch (error) {
        const { exitCode, message } = describeFailure(error);
        say(io, `sluice: ${message}`);
        io.setExitCode(exitCode);
      }
    };
  addWalletOptions(balance, ['simulated', 'lnd']).action(run(showBalance));
  addWalletOptions(history, ['simulated', 'lnd']).action(run(showHistory));
}

async function showBalance(
  { wallet, playMoney }: OpenedWallet<FullWallet>,
  options: WalletCommandOptions,
): Promise<string> {
  const balanceMsat = await wallet.balanceMsat();
  if (options.json === true) return `${JSON.stringify({ balanceMsat, playMoney })}\n`;
  return `${formatMsat(balanceMsat)}${playMoney ? ' (PLAY MONEY)' : ''}\n`;
}

async function showHistory(
  { wallet, playMoney }: OpenedWallet<FullWallet>,
  options: WalletCommandOptions,
): Promise<string> {
  const limit = /^\d{1,6}$/.test(options.limit ?? '') ? Number(options.limit) : 0;
  if (limit < 1 || limit > MAX_HISTORY)
    throw new UsageError(`--limit takes a number from 1 to ${MAX_HISTORY}.`);
  const records = await wallet.history(limit);
  if (options.json === true) return records.map((record) => `${JSON.stringify(record)}\n`).join('');
  if (records.length === 0) return 'no payments yet\n';
  return records.map((record) => `${lineOf(record)}${playMoney ? '  PLAY MONEY' : ''}\n`).join('');
}

function lineOf({ createdAtSec, state, amountMsat, feeMsat, memo, paymentHash }: PaymentRecord): string {
  const time = new Date(createdAtSec * 1000).toISOString().replace('.000Z', 'Z');
  const amount = `${formatMsat(amountMsat)} + ${formatMsat(feeMsat)} fee`;
  return `${time}  ${state.padEnd(9)}  ${amount.padEnd(24)}  ${paymentHash.slice(0, 16)}  ${printable(memo, 60)}`.trimEnd();
}
