import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { Wallet } from '../../client/wallet.ts';
import { type Books, type Bought, giveUp } from './books.ts';
import { orUndefined, type Shopper, sendUntilAnswered } from './shopper.ts';
import { hear } from './wallet.ts';
import { PRICES } from './world.ts';

/** What could not be done although everything was up again. */
export type Complaint = string;

const AT_ONCE = 12;
const TRIES = 20;
const PAUSE_MS = 300;

/** Asks the wallet about every payment whose outcome no client has heard of. */
export async function learnPayments(books: Books, wallet: Wallet): Promise<Complaint[]> {
  const open = [...books.bought.values()].filter(({ payment }) => payment.kind !== 'paid');
  const complaints: Complaint[] = [];
  await inTurn(open, async ({ paymentHash, macaroon }) => {
    const context = { origin: 'http://shop.invalid', macaroon };
    for (let tries = 0; tries < TRIES; tries += 1) {
      try {
        const state = await wallet.lookupPayment(paymentHash, context);
        if (state !== undefined) hear(books, paymentHash, state);
        if (state?.kind !== 'in-flight') return;
      } catch {
        // Asked again below: it has just been started.
      }
      await wait(PAUSE_MS);
    }
    complaints.push(`the wallet can't say what became of payment ${paymentHash}`);
  });
  return complaints;
}

const reportSchema = z.object({ balanceMsat: z.number().nullable() });

/** Presents everything that was paid for and is to be used: what a fault kept from its buyer is there now. */
export async function presentAll(books: Books, shopperOf: (client: number) => Shopper): Promise<Complaint[]> {
  const due = paidOf(books).filter(({ intention }) => intention === 'use');
  const complaints: Complaint[] = [];
  await inTurn(due, async (bought) => {
    if ((await balanceOf(shopperOf(bought.client), bought)) === undefined)
      complaints.push(`what was paid with ${bought.paymentHash} is not accepted`);
  });
  return complaints;
}

/** Spends what is left on accounts that pay by the call: a balance that is shown must be worth something. */
export async function spendRests(books: Books, shopperOf: (client: number) => Shopper): Promise<Complaint[]> {
  const complaints: Complaint[] = [];
  const accounts = new Map<string, Bought>();
  for (const bought of paidOf(books)) {
    const isCall = bought.service === 'call' || bought.service === 'bundle';
    if (isCall && bought.intention === 'use') accounts.set(bought.accountId, bought);
  }
  await inTurn([...accounts.values()], async (bought) => {
    const shopper = shopperOf(bought.client);
    const { service } = bought;
    const calls = Math.floor(((await balanceOf(shopper, bought)) ?? 0) / PRICES.call);
    for (let left = calls; left > 0; left -= 1) {
      const wish = { id: shopper.nextId(), service, authorization: authorizationOf(bought) };
      const end = await sendUntilAnswered(shopper, wish);
      if (end !== 'answered') complaints.push(`the rest of account ${bought.accountId} is ${end}`);
    }
  });
  return complaints;
}

function paidOf(books: Books): Bought[] {
  return [...books.bought.values()].filter(({ payment }) => payment.kind === 'paid');
}

function authorizationOf({ macaroon, payment }: Bought): string {
  return `L402 ${macaroon}:${payment.kind === 'paid' ? payment.preimage : ''}`;
}

/** Presents a payment and reads what is left; `undefined` when it is not accepted. */
async function balanceOf(shopper: Shopper, bought: Bought): Promise<number | undefined> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const headers = { authorization: authorizationOf(bought) };
    const outgoing = { id: shopper.nextId(), path: '/.l402/account', headers };
    const incoming = await shopper.sender.send(outgoing).catch(orUndefined);
    const text = await incoming?.text();
    if (incoming?.status === 200 && text !== undefined)
      return reportSchema.parse(JSON.parse(text)).balanceMsat ?? 0;
    if (incoming?.status === 403) {
      giveUp(shopper.books, `403: ${/\(([a-z-]+)\)/.exec(text ?? '')?.[1] ?? 'unknown'}`);
      return undefined;
    }
    await wait(PAUSE_MS);
  }
  return undefined;
}

/** A few at a time. */
async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
