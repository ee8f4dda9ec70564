import { msat, subtractMsat } from '../../../node/msat.ts';
import { checkAccountId, checkOffer, checkPage, checkPaymentHash, checkSettlement } from '../check-input.ts';
import { type Offer, type OfferOutcome, type SettleOutcome, type Store, StoreError } from '../store.ts';
import { kindOf, wordsOf } from './answers.ts';
import { creditAccount } from './credits.ts';
import type { Engine } from './engine.ts';
import { offerText, parseOffer, type StoredOffer, withoutState } from './terms.ts';

/** Offers of one account in an answer. */
const MAX_ACCOUNT_OFFERS = 100;
/** Sets of open offers that are read at once. */
const SHARDS_AT_ONCE = 16;

/*
 * An offer lies in the slot of its payment hash. Before it is written, it is counted in the account's slot and listed in one of the sets
 * of open offers; after it is credited, it is marked, and then taken off the list. Whoever dies in between leaves a name on a list
 * without an offer, or an offer on the list that was credited: the first is skipped and forgotten, the second is settled once more, which
 * credits nothing.
 */

/** Top-ups: asked for, settled by the feed, or dropped. */
export function offers(
  engine: Engine,
  watermarkSec: () => number,
): Pick<Store, 'offer' | 'settleOffer' | 'openOffers' | 'offersOf' | 'dropOffer'> {
  return {
    offer: async (asked, maxOutstanding) => {
      checkOffer(asked, maxOutstanding);
      return engine.verb('offer', () => putOffer(engine, asked, maxOutstanding));
    },
    settleOffer: async (paymentHash, paidMsat) => {
      checkSettlement(paymentHash, paidMsat);
      return engine.verb('settleOffer', () => settleOffer(engine, watermarkSec(), paymentHash, paidMsat));
    },
    openOffers: async (afterHash, limit) => {
      checkPage(afterHash, limit);
      return engine.verb('openOffers', () => readOpen(engine, afterHash, limit));
    },
    offersOf: async (accountId) => {
      checkAccountId(accountId);
      return engine.verb('offersOf', () => readPayable(engine, accountId));
    },
    dropOffer: async (paymentHash) => {
      checkPaymentHash(paymentHash);
      return engine.verb('dropOffer', async () => {
        const dropped = await engine.run('drop-offer', engine.keys.offer(paymentHash));
        if (dropped === 'none') return;
        const { accountId } = parseOffer(paymentHash, dropped);
        await engine.client.zrem(engine.keys.of(accountId).offers, paymentHash);
        await engine.client.zrem(engine.keys.openOffers(paymentHash), paymentHash);
      });
    },
  };
}

async function putOffer(engine: Engine, asked: Offer, maxOutstanding: number): Promise<OfferOutcome> {
  const { keys, client } = engine;
  const key = keys.offer(asked.paymentHash);
  const known = await client.get(key);
  if (known === null) {
    const refusal = await admit(engine, asked, maxOutstanding);
    if (refusal !== undefined) return refusal;
    const list = keys.openOffers(asked.paymentHash);
    await engine.strongly(list, (pipeline) => {
      pipeline.zadd(list, asked.creditExpiresAtSec, asked.paymentHash);
    });
  }
  const args = [engine.clock(), String(asked.creditExpiresAtSec), offerText(asked)];
  const kind = kindOf(wordsOf(await engine.runStrongly('put-offer', key, ...args)), [
    'offered',
    'repeated',
    'other-terms',
  ]);
  if (kind !== 'other-terms') return { kind };
  throw new StoreError('invalid', 'paymentHash was offered on other terms; nothing was changed.');
}

async function admit(
  engine: Engine,
  asked: Offer,
  maxOutstanding: number,
): Promise<OfferOutcome | undefined> {
  const { account, offers } = engine.keys.of(asked.accountId);
  const args = [asked.paymentHash, asked.service, String(asked.invoiceExpiresAtSec)];
  args.push(String(asked.creditExpiresAtSec), String(maxOutstanding));
  const answer = await engine.runStrongly('admit-offer', account, offers, engine.clock(), ...args);
  const kind = kindOf(wordsOf(answer), [
    'admitted',
    'too-many',
    'unknown-account',
    'expired',
    'revoked',
    'other-service',
    'too-late',
  ]);
  if (kind === 'other-service')
    throw new StoreError('invalid', 'The account belongs to another service; nothing was changed.');
  if (kind === 'too-late')
    throw new StoreError('invalid', 'creditExpiresAtSec has passed; nothing was changed.');
  return kind === 'admitted' ? undefined : { kind };
}

async function settleOffer(
  engine: Engine,
  watermarkSec: number,
  paymentHash: string,
  paidMsat: number,
): Promise<SettleOutcome> {
  const { keys, client } = engine;
  const found = await engine.run('read-offer', keys.offer(paymentHash));
  if (found === 'none') return { kind: 'no-offer' };
  const known = parseOffer(paymentHash, found);
  if (known.creditExpiresAtSec <= watermarkSec) return { kind: 'no-offer' };
  if (paidMsat < known.amountMsat) return { kind: 'underpaid' };
  const { accountId, service, amountMsat, creditExpiresAtSec: expiresAtSec } = known;
  const excessMsat = subtractMsat(msat(paidMsat), amountMsat);
  const parts = [{ creditKey: paymentHash, amountMsat }];
  if (excessMsat > 0) parts.push({ creditKey: `${paymentHash}:excess`, amountMsat: excessMsat });
  const credited = await creditAccount(engine, { accountId, service, expiresAtSec }, parts, paymentHash);
  if (!known.settled) {
    await engine.runStrongly('settle-offer', keys.offer(paymentHash));
    await client.zrem(keys.openOffers(paymentHash), paymentHash);
  }
  if (credited === undefined) return { kind: 'too-late' };
  const { account, creditedMsat } = credited;
  return { kind: creditedMsat > 0 ? 'credited' : 'repeated', account, creditedMsat: msat(creditedMsat) };
}

/** The offers themselves, in the order of the hashes; what is not there (any more) is left out. */
async function readOffers(engine: Engine, hashes: readonly string[]): Promise<readonly StoredOffer[]> {
  const found = await Promise.all(hashes.map((hash) => engine.client.get(engine.keys.offer(hash))));
  return hashes.flatMap((hash, at) => {
    const text = found[at];
    return text == null ? [] : [parseOffer(hash, text)];
  });
}

async function readOpen(engine: Engine, afterHash: string, limit: number): Promise<readonly Offer[]> {
  const { offerShards, openOffers } = engine.keys;
  const from = afterHash === '' ? 0 : offerShards.indexOf(openOffers(afterHash));
  const open: Offer[] = [];
  for (let at = from; at < offerShards.length && open.length < limit; at += SHARDS_AT_ONCE) {
    const shards = offerShards.slice(at, at + SHARDS_AT_ONCE);
    const lists = await Promise.all(shards.map((shard) => engine.client.zrange(shard, '0', '-1')));
    const hashes = lists
      .flat()
      .filter((hash) => hash > afterHash)
      .sort();
    for (let next = 0; next < hashes.length && open.length < limit; next += limit) {
      const found = await readOffers(engine, hashes.slice(next, next + limit));
      open.push(...found.filter(({ settled }) => !settled).map(withoutState));
    }
  }
  return open.slice(0, limit);
}

async function readPayable(engine: Engine, accountId: string): Promise<readonly Offer[]> {
  const { account, offers } = engine.keys.of(accountId);
  const args = [engine.clock(), String(MAX_ACCOUNT_OFFERS)];
  const answer = await engine.run('payable-offers', account, offers, ...args);
  const hashes = answer === '' ? [] : answer.split(',');
  const found = await readOffers(engine, hashes);
  return found.filter(({ settled }) => !settled).map(withoutState);
}

/** Forgets offers on the lists whose credit would be over for a day: those that were never written, or never dropped. */
export async function forgetListed(engine: Engine, watermarkSec: number): Promise<void> {
  const { keys, client } = engine;
  await Promise.all(keys.offerShards.map((shard) => client.zremrangebyscore(shard, '-inf', watermarkSec)));
}
