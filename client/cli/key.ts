import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { formatMsat, type Msat, msat } from '../../node/msat.ts';
import { createBudget } from '../budget.ts';
import type { Credential } from '../buy-credential.ts';
import { defaultMaxFeeMsat } from '../buyer.ts';
import { createFileTokenStore } from '../file-token-store.ts';
import { createPayingClient } from '../paying-client.ts';
import { addRequestOptions, type RequestOptions, toRequest } from './curl-request.ts';
import { describeFailure, EXIT, UsageError } from './exit-codes.ts';
import { createFetchReport } from './fetch-report.ts';
import { type Io, say } from './io.ts';
import { addWalletOptions, openWallet, type WalletOptions } from './open-wallet.ts';
import { parseSats } from './parse-sats.ts';

interface KeyBuyOptions extends RequestOptions, WalletOptions {
  readonly sats: string;
  readonly maxSats?: string;
  readonly json?: boolean;
}

const QR_TIMEOUT_MS = 15 * 60_000;
const PAY_TIMEOUT_MS = 60_000;

/** Adds `sluice key buy URL`. */
export function registerKey(program: Command, io: Io): void {
  const group = program.command('key').description('credentials for programs that take an API key');
  const buy = group
    .command('buy')
    .description('buy credit and print it as an API key; how to use it goes to stderr')
    .argument('<url>', 'what the key is for, as it will be asked; http:// is assumed')
    .requiredOption('--sats <sats>', 'how much credit to buy')
    .option('--max-sats <sats>', 'the most to spend, fees included (default: --sats, and the fees for it)')
    .option('--json', 'print one JSON object');
  addWalletOptions(addRequestOptions(buy), ['simulated', 'lnd', 'qr']);
  buy.addHelpText('after', HELP).action((url: string, options: KeyBuyOptions) => runBuy(url, options, io));
}

const HELP = `
The key is money: whoever has it can spend it. It is not kept here; print it into a file or a secret store.
A service that is priced by the body of its requests needs one: -d '{"model":"…"}' -H 'content-type: application/json'.
Exit codes: as sluice fetch.`;

async function runBuy(target: string, options: KeyBuyOptions, io: Io): Promise<void> {
  const stopListening = io.onInterrupt(() => {
    say(io, 'sluice: Interrupted. A payment under way is written down in the token file.');
    io.exit(EXIT.interrupted);
  });
  try {
    const { url, init } = await toRequest(target, options, io);
    const credential = await buyKey(url, init, options, io);
    if (credential === undefined) {
      throw new UsageError('There is nothing to buy: this URL was answered without payment.', EXIT.refused);
    }
    print(credential, url, options, io);
  } catch (error) {
    const { exitCode, message } = describeFailure(error);
    say(io, `sluice: ${message}`);
    io.setExitCode(exitCode);
  } finally {
    stopListening();
  }
}

async function buyKey(
  url: URL,
  init: RequestInit,
  options: KeyBuyOptions,
  io: Io,
): Promise<Credential | undefined> {
  const amountMsat = parseSats('--sats', options.sats);
  const limitMsat =
    options.maxSats === undefined ? withFees(amountMsat) : parseSats('--max-sats', options.maxSats);
  if (limitMsat < amountMsat)
    throw new UsageError('--max-sats must be at least --sats: routing fees come on top.');
  const { wallet, playMoney } = await openWallet(options, io);
  const unit = playMoney ? ' (PLAY MONEY)' : '';
  const client = createPayingClient({
    wallet,
    budget: createBudget({ perRequestMsat: limitMsat }),
    store: createFileTokenStore({ file: join(resolve(io.cwd, options.data), 'tokens.json') }),
    payTimeoutMs: options.wallet === 'qr' ? QR_TIMEOUT_MS : PAY_TIMEOUT_MS,
    onEvent: createFetchReport(io, options.json === true ? 'silent' : 'progress', url.href, unit).onEvent,
  });
  return client.buyCredential(url, { ...init, amountMsat });
}

/** Room for two payments: what is sold at first, and a top-up. */
function withFees(amountMsat: Msat): Msat {
  return msat(amountMsat + 2 * defaultMaxFeeMsat(amountMsat));
}

function print(credential: Credential, url: URL, options: KeyBuyOptions, io: Io): void {
  const { apiKey, authorization, service, balanceMsat, validUntilSec, paidMsat, feeMsat } = credential;
  const expiresAt = validUntilSec === undefined ? undefined : new Date(validUntilSec * 1000).toISOString();
  if (options.json === true) {
    const known = { service, balanceMsat, expiresAt, paidMsat, feeMsat };
    io.stdout.write(`${JSON.stringify({ apiKey, authorization, baseUrl: baseUrlOf(url), ...known })}\n`);
    return;
  }
  io.stdout.write(`${apiKey}\n`);
  const unit = options.wallet === 'simulated' ? ' (PLAY MONEY)' : '';
  const lines = [
    `cost: ${formatMsat(msat(paidMsat + feeMsat))}${unit}${balanceMsat === undefined ? '' : `, ${formatMsat(balanceMsat)} to spend`}` +
      `${expiresAt === undefined ? '' : `, until ${expiresAt}`}`,
    'Use it as an API key, or as a bearer token:',
    ...(isOpenAiUrl(url)
      ? [
          `  OPENAI_BASE_URL=${baseUrlOf(url)} OPENAI_API_KEY=<the key> your-program`,
          `  new OpenAI({ baseURL: '${baseUrlOf(url)}', apiKey: '<the key>' })`,
        ]
      : []),
    `  curl -H "Authorization: Bearer <the key>" ${url.href}`,
    `What is left: curl -H "Authorization: Bearer <the key>" ${url.origin}/.l402/account`,
  ];
  for (const line of lines) say(io, line);
}

/** The operations that SDKs of the OpenAI kind add to their base URL. */
const OPERATION = /\/(?:chat\/completions|completions|embeddings|responses|models|messages)\/?$/;

function isOpenAiUrl({ pathname }: URL): boolean {
  return OPERATION.test(pathname) || /\/v1\/?$/.test(pathname);
}

/** The base URL that SDKs of the OpenAI kind want: without the operation that they add themselves. */
export function baseUrlOf({ origin, pathname }: URL): string {
  const base = pathname.replace(OPERATION, '');
  return `${origin}${base.replace(/\/$/, '')}`;
}
