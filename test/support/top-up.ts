import type { Account, Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { DEFAULT_WALLET } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { eventually } from './eventually.ts';

/** The answer to a top-up, as a client reads it. */
export interface SeenTopUp {
  readonly invoice: string;
  readonly paymentRequest: string;
  readonly paymentHash: string;
  readonly amountMsat: number;
  readonly creditMsat: number;
  readonly balanceMsat: number;
  readonly accountId: string;
  readonly macaroon: string;
  readonly authorization: string;
  readonly expiresAt: string;
  readonly validUntil: string;
}

/** Sends a top-up request. @param body - sent as it is when it is a text, else as JSON */
export function requestTopUp(
  url: string,
  authorization: string | undefined,
  body?: unknown,
): Promise<Response> {
  return fetch(`${url}/.l402/topup`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}

/** Asks for a top-up that must be made. */
export async function askTopUp(url: string, authorization: string, body?: unknown): Promise<SeenTopUp> {
  const response = await requestTopUp(url, authorization, body);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`expected a top-up and got ${response.status}: ${text}`);
  return JSON.parse(text);
}

/** Status and error code of a refused request. */
export async function refusalOf(response: Response): Promise<readonly [status: number, code: string]> {
  const body: { error?: { code?: string } } = await response.json();
  return [response.status, body.error?.code ?? ''];
}

/** Pays an invoice, more than it asks for if so told. @returns the preimage, hex */
export async function payAmount(simnet: Simnet, bolt11: string, amountMsat?: number): Promise<string> {
  const wallet = simnet.wallet(DEFAULT_WALLET);
  const started = wallet.pay({
    bolt11,
    maxFeeMsat: msat(0),
    ...(amountMsat === undefined ? {} : { amountMsat: msat(amountMsat) }),
  });
  const final = await wallet.finalPayment(started.paymentHash);
  if (final?.preimage === undefined) throw new Error(`the payment ended ${final?.state}`);
  return final.preimage;
}

/** Waits until so much was credited to the account in all. */
export async function untilCredited(
  store: Pick<Store, 'account'>,
  accountId: string,
  creditedMsat: number,
): Promise<Account> {
  const account = await eventually(
    () => store.account(accountId),
    (seen) => seen !== undefined && seen.creditedMsat >= creditedMsat,
  );
  if (account === undefined) throw new Error('there is no such account');
  return account;
}
