import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { toString as toQrText } from 'qrcode';
import { Agent, fetch as undiciFetch } from 'undici';
import { formatMsat } from '../../node/msat.ts';
import { decodeInvoice } from '../invoice.ts';
import type { FullWallet, Wallet } from '../wallet.ts';
import { createLndWallet, type WalletFetch } from '../wallets/lnd.ts';
import { createQrWallet } from '../wallets/qr.ts';
import { openSimulatedWallet } from '../wallets/simulated.ts';
import { EXIT, UsageError } from './exit-codes.ts';
import { type Io, say } from './io.ts';

/** The options of every command that pays. */
export interface WalletOptions {
  readonly wallet: 'simulated' | 'lnd' | 'qr';
  readonly data: string;
  readonly lndUrl?: string;
  readonly lndMacaroon?: string;
  readonly lndCert?: string;
}

/** A wallet, and what the commands must know about it. */
export interface OpenedWallet<W> {
  readonly wallet: W;
  /** Amounts are marked wherever a person reads them. */
  readonly playMoney: boolean;
}

/** Adds the options that choose a wallet. */
export function addWalletOptions(command: Command, wallets: readonly WalletOptions['wallet'][]): Command {
  return command
    .addOption(
      new Option('--wallet <kind>', 'what pays').choices(wallets).default('simulated').env('SLUICE_WALLET'),
    )
    .option('--data <dir>', 'data folder: tokens, and the address of the simulated network', '.sluice')
    .addOption(new Option('--lnd-url <url>', "address of LND's REST API").env('SLUICE_LND_URL'))
    .addOption(
      new Option(
        '--lnd-macaroon <file>',
        'macaroon file of LND, or the macaroon in hex (other users of the machine can see a command line)',
      ).env('SLUICE_LND_MACAROON'),
    )
    .addOption(new Option('--lnd-cert <file>', 'TLS certificate of LND (PEM)').env('SLUICE_LND_CERT'));
}

/** Opens a wallet that can pay any invoice. @throws UsageError, NodeError */
export async function openFullWallet(options: WalletOptions, io: Io): Promise<OpenedWallet<FullWallet>> {
  if (options.wallet === 'lnd') return { wallet: await openLnd(options, io), playMoney: false };
  if (options.wallet === 'qr')
    throw new UsageError('A QR code has no balance and pays only inside `sluice fetch`.');
  const wallet = await openSimulatedWallet({ dataDir: resolve(io.cwd, options.data) });
  return { wallet, playMoney: true };
}

/** Opens the wallet of a paying request. @throws UsageError, NodeError */
export async function openWallet(options: WalletOptions, io: Io): Promise<OpenedWallet<Wallet>> {
  if (options.wallet !== 'qr') return openFullWallet(options, io);
  const wallet = createQrWallet({
    show: async (invoice, amountMsat) => {
      // Upper case needs a smaller code (alphanumeric mode), and phones read both.
      say(
        io,
        await toQrText(`LIGHTNING:${invoice.toUpperCase()}`, { type: 'utf8', errorCorrectionLevel: 'L' }),
      );
      const unit = decodeInvoice(invoice).network === 'regtest' ? ' (PLAY MONEY)' : '';
      say(io, `Pay ${formatMsat(amountMsat)}${unit} with this code, or this invoice:\n${invoice}\nwaiting …`);
    },
  });
  return { wallet, playMoney: false };
}

async function openLnd(options: WalletOptions, io: Io): Promise<FullWallet> {
  const { lndUrl, lndMacaroon, lndCert } = options;
  if (lndUrl === undefined || lndMacaroon === undefined) {
    throw new UsageError(
      'The lnd wallet needs --lnd-url and --lnd-macaroon (or SLUICE_LND_URL and SLUICE_LND_MACAROON).',
    );
  }
  if (!/^https?:\/\//.test(lndUrl)) throw new UsageError('--lnd-url must begin with https:// or http://.');
  const macaroon = /^[0-9a-fA-F]{40,}$/.test(lndMacaroon)
    ? lndMacaroon
    : (await readOption('--lnd-macaroon', lndMacaroon, io)).toString('hex');
  if (lndCert === undefined) return createLndWallet({ url: lndUrl, macaroon });
  const certificate = (await readOption('--lnd-cert', lndCert, io)).toString('utf8');
  return createLndWallet({ url: lndUrl, macaroon, fetch: trusting(certificate) });
}

async function readOption(option: string, file: string, io: Io): Promise<Buffer> {
  try {
    return await readFile(resolve(io.cwd, file));
  } catch {
    // The value is not repeated: it may be a macaroon that was mistyped.
    throw new UsageError(`The file of ${option} can't be read.`, EXIT.read);
  }
}

/** A fetch that trusts one certificate and nothing else. The built-in fetch can't be told that. */
function trusting(certificate: string): WalletFetch {
  const dispatcher = new Agent({ connect: { ca: certificate }, connections: 4, keepAliveTimeout: 1_000 });
  return async (url, { method, headers, body, redirect, signal }) => {
    const answer = await undiciFetch(url, {
      dispatcher,
      method: method ?? 'GET',
      headers: Object.fromEntries(new Headers(headers)),
      body: typeof body === 'string' ? body : null,
      redirect: redirect ?? 'error',
      signal: signal ?? null,
    });
    return new Response(toGlobalStream(answer.body), { status: answer.status });
  };
}

/** The stream of the undici package as one of the built-in classes, which its types keep apart. */
function toGlobalStream(body: Awaited<ReturnType<typeof undiciFetch>>['body']): ReadableStream | null {
  const reader = body?.getReader();
  if (reader === undefined) return null;
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
