import type { Command } from 'commander';
import { addMsat, formatMsat, minMsat, subtractMsat } from '../../node/msat.ts';
import type { PaymentState } from '../../node/node.ts';
import { defaultMaxFeeMsat } from '../buyer.ts';
import { systemClock } from '../clock.ts';
import { PaymentError } from '../errors.ts';
import { type DecodedInvoice, decodeInvoice, InvoiceFormatError } from '../invoice.ts';
import { type PaymentTask, payToEnd } from '../pay-to-end.ts';
import { describeFailure, EXIT, UsageError } from './exit-codes.ts';
import { type Io, say } from './io.ts';
import { addWalletOptions, openFullWallet, type WalletOptions } from './open-wallet.ts';
import { parseSats } from './parse-sats.ts';

interface PayCommandOptions extends WalletOptions {
  readonly maxSats: string;
}

/** Adds `sluice pay INVOICE`. */
export function registerPay(program: Command, io: Io): void {
  const command = program
    .command('pay')
    .description('pay a Lightning invoice; the preimage goes to stdout, the cost to stderr')
    .argument('<invoice>', 'BOLT 11')
    .option('--max-sats <sats>', 'the most to spend, fees included', '1000');
  addWalletOptions(command, ['simulated', 'lnd']).action(
    async (invoice: string, options: PayCommandOptions) => {
      const stopListening = io.onInterrupt(() => {
        say(
          io,
          'sluice: Interrupted. The payment may still go through; run the same again, it is not paid twice.',
        );
        io.exit(EXIT.interrupted);
      });
      try {
        await payInvoice(invoice.replace(/^lightning:/i, ''), options, io);
      } catch (error) {
        const { exitCode, message } = describeFailure(error);
        say(io, `sluice: ${message}`);
        io.setExitCode(exitCode);
      } finally {
        stopListening();
      }
    },
  );
}

async function payInvoice(bolt11: string, options: PayCommandOptions, io: Io): Promise<void> {
  const invoice = decode(bolt11);
  const { amountMsat, paymentHash, network } = invoice;
  const limitMsat = parseSats('--max-sats', options.maxSats);
  if (amountMsat === undefined) throw new UsageError('The invoice names no amount.', EXIT.refused);
  if (amountMsat > limitMsat) {
    const message = `The invoice asks ${formatMsat(amountMsat)} and --max-sats allows ${formatMsat(limitMsat)}. Nothing was paid.`;
    throw new PaymentError('over-budget', message, { paymentHash, amountMsat });
  }
  const { wallet, playMoney } = await openFullWallet(options, io);
  const own = await wallet.network?.();
  if (own !== undefined && own !== network) {
    throw new PaymentError(
      'wrong-network',
      `The invoice is for ${network}, the wallet is on ${own}. Nothing was paid.`,
    );
  }
  const task: PaymentTask = {
    wallet,
    clock: systemClock,
    invoice: bolt11,
    paymentHash,
    context: { origin: '', macaroon: '' },
    payTimeoutMs: 60_000,
    settleTimeoutMs: 30_000,
    onWaiting: () => say(io, 'no final answer from the wallet yet; asking what became of the payment …'),
  };
  // Paid before, perhaps by a run that was interrupted: the preimage is what is wanted, not a second payment.
  const before = await wallet.lookupPayment(paymentHash, task.context);
  const maxFeeMsat = minMsat(defaultMaxFeeMsat(amountMsat), subtractMsat(limitMsat, amountMsat));
  const end = before?.kind === 'succeeded' ? before : await payUnexpired(task, invoice, maxFeeMsat);
  report(end, before !== undefined && before === end, playMoney ? ' (PLAY MONEY)' : '', io);
}

function decode(bolt11: string): DecodedInvoice {
  try {
    return decodeInvoice(bolt11);
  } catch (error) {
    throw error instanceof InvoiceFormatError ? new UsageError(error.message) : error;
  }
}

function payUnexpired(
  task: PaymentTask,
  invoice: DecodedInvoice,
  maxFeeMsat: PayAmount,
): Promise<PaymentState> {
  if (invoice.expiresAtSec <= task.clock.nowMs() / 1000) {
    throw new PaymentError(
      'invoice-expired',
      'The invoice has expired. Nothing was paid; ask for a new one.',
    );
  }
  return payToEnd(task, maxFeeMsat);
}

type PayAmount = Parameters<typeof payToEnd>[1];

function report(end: PaymentState, wasPaidBefore: boolean, unit: string, io: Io): void {
  if (end.kind === 'failed') {
    throw new PaymentError('payment-failed', `The payment failed: ${end.reason}. Nothing was paid.`);
  }
  if (end.kind === 'in-flight') {
    const message = 'The payment is not final yet; run the same again later, it is not paid twice.';
    throw new PaymentError('payment-unknown', message);
  }
  const total = formatMsat(addMsat(end.amountMsat, end.feeMsat));
  const before = wasPaidBefore ? ' by an earlier payment' : '';
  say(
    io,
    `paid ${formatMsat(end.amountMsat)} + ${formatMsat(end.feeMsat)} fee${unit}${before}; cost: ${total}`,
  );
  io.stdout.write(`${end.preimage}\n`);
}
