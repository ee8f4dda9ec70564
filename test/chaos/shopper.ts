import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { createBudget } from '../../client/budget.ts';
import { PaymentError } from '../../client/errors.ts';
import { createPayingClient, type PayingClient } from '../../client/paying-client.ts';
import { createMemoryTokenStore } from '../../client/token-store.ts';
import { sats } from '../../node/msat.ts';
import { type Books, giveUp, type Intent, type Intention } from './books.ts';
import type { Random } from './random.ts';
import { type Incoming, NoAnswer, type Sender } from './sender.ts';
import type { CountingWallet } from './wallet.ts';

/** What a client is made of. */
export interface Shopper {
  readonly number: number;
  readonly gateways: number;
  readonly random: Random;
  readonly sender: Sender;
  readonly wallet: CountingWallet;
  readonly books: Books;
  /** Aborts when the run must end. */
  readonly over: AbortSignal;
  /** A name for the next request. */
  nextId(): string;
}

/** A challenge, as its JSON says it. */
export interface Challenge {
  readonly macaroon: string;
  readonly invoice: string;
  readonly paymentHash: string;
}

/** A credential in hand. */
export interface Credential extends Challenge {
  readonly preimage: string;
  readonly authorization: string;
}

const challengeSchema = z.object({ macaroon: z.string(), invoice: z.string(), paymentHash: z.string() });
const TRIES = 40;
const PAUSE_MS = 400;
const TOP_UP_TRIES = 8;

/** The client library over the sender and the wallet of this client. */
export function payingClientOf({ sender, wallet }: Shopper): PayingClient {
  return createPayingClient({
    wallet,
    fetch: sender.fetch,
    store: createMemoryTokenStore(),
    budget: createBudget({ perRequestMsat: sats(1_000) }),
    network: 'regtest',
    maxFeeMsat: () => sats(0),
    payTimeoutMs: 5_000,
    settleTimeoutMs: 10_000,
  });
}

/** Where the client library finds the shop: the sender chooses the gateway. */
export const SHOP = 'http://shop.invalid';

/** Asks until there is a challenge. `undefined` when there is none for too long: nothing was paid. */
export async function askFor(shopper: Shopper, service: string): Promise<Challenge | undefined> {
  for (let tries = 0; tries < TRIES && !shopper.over.aborted; tries += 1) {
    const incoming = await trySend(shopper, { id: shopper.nextId(), service });
    const text = await incoming?.text();
    if (incoming?.status === 402 && text !== undefined) return challengeSchema.parse(JSON.parse(text));
    await wait(PAUSE_MS);
  }
  giveUp(shopper.books, 'no challenge');
  return undefined;
}

/** Asks and pays. `undefined` when nothing was bought, or it is not known yet whether something was. */
export async function buy(
  shopper: Shopper,
  service: string,
  intention: Intention = 'use',
): Promise<Credential | undefined> {
  const challenge = await askFor(shopper, service);
  return challenge === undefined ? undefined : pay(shopper, challenge, intention);
}

/** Pays a challenge. `undefined` when it could not be paid, or it is not known yet. */
export async function pay(
  { wallet, books }: Shopper,
  challenge: Challenge,
  intention: Intention = 'use',
): Promise<Credential | undefined> {
  const preimage = await wallet.payForSure(challenge.invoice, challenge.macaroon, intention);
  if (preimage === undefined) {
    giveUp(books, 'not paid');
    return undefined;
  }
  return { ...challenge, preimage, authorization: `L402 ${challenge.macaroon}:${preimage}` };
}

/** Asks for a top-up, pays it, and leaves it to the gateways to hear of it. @returns whether it was paid */
export async function topUpAndWait(
  shopper: Shopper,
  { authorization }: Credential,
  amountMsat: number,
): Promise<boolean> {
  for (let tries = 0; tries < TOP_UP_TRIES && !shopper.over.aborted; tries += 1) {
    const headers = { authorization, 'content-type': 'application/json' };
    const body = JSON.stringify({ amountMsat });
    const outgoing = { id: shopper.nextId(), path: '/.l402/topup', method: 'POST', headers, body };
    const incoming = await shopper.sender.send(outgoing).catch(orUndefined);
    const text = await incoming?.text();
    if (incoming?.status === 200 && text !== undefined) {
      const challenge = challengeSchema.parse(JSON.parse(text));
      return (await pay(shopper, challenge, 'wait')) !== undefined;
    }
    await wait(PAUSE_MS);
  }
  giveUp(shopper.books, 'no top-up');
  return false;
}

/** For whoever goes on without an answer. */
export function orUndefined(error: unknown): undefined {
  if (!(error instanceof NoAnswer)) throw error;
  return undefined;
}

/** A paid request, or one that pretends to be. */
export interface Wish {
  readonly id: string;
  readonly service: string;
  readonly query?: string;
  readonly authorization?: string;
  readonly idempotencyKey?: string;
  readonly gateway?: number;
  readonly intent?: Intent;
}

/** Sends one request; `undefined` when no answer came. */
export async function trySend(shopper: Shopper, wish: Wish): Promise<Incoming | undefined> {
  const { id, service, query = '', authorization, idempotencyKey, gateway, intent } = wish;
  const outgoing = {
    id,
    path: `/${service}/${id}${query}`,
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    ...(gateway === undefined ? {} : { gateway }),
    ...(intent === undefined ? {} : { intent }),
  };
  return shopper.sender.send(outgoing).catch(orUndefined);
}

/** How a request that was repeated until it was answered ended. */
export type Answered = 'answered' | 'refused' | 'never';

/** Repeats a request until the upstream's whole answer is there, or the money is gone. */
export async function sendUntilAnswered(shopper: Shopper, wish: Wish): Promise<Answered> {
  for (let tries = 0; tries < TRIES && !shopper.over.aborted; tries += 1) {
    const incoming = await trySend(shopper, wish);
    const text = await incoming?.text();
    if (incoming?.status === 200 && text !== undefined) return 'answered';
    if (incoming?.status === 402) return 'refused';
    await wait(PAUSE_MS);
  }
  return 'never';
}

/** Does something with the client library, and writes down why it came to nothing, if it did. */
export async function attempt(books: Books, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof PaymentError) giveUp(books, error.code);
    else if (error instanceof NoAnswer) giveUp(books, `no answer (${error.why})`);
    else if (isBrokenOff(error)) giveUp(books, 'broken off');
    else throw error;
  }
}

/** The connection went, or the client closed it itself. */
function isBrokenOff(error: unknown): boolean {
  if (error instanceof DOMException) return error.name === 'AbortError';
  return error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
}
