import { checkClaim, checkCredit } from '../check-input.ts';
import {
  type Account,
  type Claim,
  type ClaimOutcome,
  type Credit,
  type Store,
  StoreError,
} from '../store.ts';
import { accountOf, amountAt, kindOf, type Words, wordsOf } from './answers.ts';
import type { Engine } from './engine.ts';
import { creditField } from './key-names.ts';
import { claimText } from './terms.ts';
import { whileStale } from './while-stale.ts';

/*
 * A payment is claimed in the slot of its hash and credited in the slot of its account. Each script is idempotent and every repetition
 * runs both: whoever dies between them has left a claim without its credit, which the next presentation makes.
 */

/** What an account may be asked before a claim is written, because a refusal should leave no claim behind. */
type Welcome = 'too-late' | 'revoked' | 'fits' | 'credited' | 'other-service' | 'too-much';

/** Claims, credits, and both in one. */
export function credits(engine: Engine): Pick<Store, 'claim' | 'credit' | 'redeem'> {
  return {
    claim: async (asked) => {
      checkClaim(asked);
      return engine.verb('claim', async () => {
        const welcome = await askAccount(engine, { ...asked, creditMsat: 0 });
        if (welcome === 'too-late' || welcome === 'revoked') return { kind: welcome };
        return { kind: await claimIt(engine, asked) };
      });
    },
    credit: async (asked) => {
      checkCredit(asked);
      return engine.verb('credit', async () => {
        const credited = await creditAccount(engine, asked, [asked], undefined);
        if (credited === undefined) return { kind: 'too-late' };
        const { account, creditedMsat } = credited;
        return { kind: creditedMsat > 0 ? 'credited' : 'repeated', account };
      });
    },
    redeem: async (asked) => {
      checkClaim(asked);
      return engine.verb('redeem', () => redeem(engine, asked));
    },
  };
}

async function redeem(engine: Engine, asked: Claim): Promise<ClaimOutcome> {
  const welcome = await askAccount(engine, asked);
  if (welcome === 'too-late' || welcome === 'revoked') return { kind: welcome };
  if (welcome === 'other-service' || welcome === 'too-much') {
    const first = await engine.client.get(engine.keys.claim(asked.paymentHash));
    if (first !== null && first !== claimText(asked)) return { kind: 'taken' };
    throw refused(welcome);
  }
  const kind = await claimIt(engine, asked);
  if ((kind === 'claimed' || kind === 'repeated') && asked.creditMsat > 0) {
    const { paymentHash: creditKey, creditMsat: amountMsat } = asked;
    await creditAccount(engine, asked, [{ creditKey, amountMsat }], undefined);
  }
  return { kind };
}

async function askAccount(
  engine: Engine,
  {
    accountId,
    service,
    creditMsat,
    expiresAtSec,
    paymentHash,
  }: Omit<Claim, 'creditMsat'> & { readonly creditMsat: number },
): Promise<Welcome> {
  const { account, revocation } = engine.keys.of(accountId);
  const args = [String(expiresAtSec), service, String(creditMsat), creditField(paymentHash)];
  const answer = await engine.run('check-account', account, revocation, engine.clock(), ...args);
  return kindOf(wordsOf(answer), ['too-late', 'revoked', 'fits', 'credited', 'other-service', 'too-much']);
}

async function claimIt(engine: Engine, asked: Claim): Promise<'claimed' | 'repeated' | 'taken' | 'too-late'> {
  const args = [engine.clock(), String(asked.expiresAtSec), claimText(asked)];
  const answer = await engine.runStrongly('claim', engine.keys.claim(asked.paymentHash), ...args);
  return kindOf(wordsOf(answer), ['claimed', 'repeated', 'taken', 'too-late']);
}

/**
 * Credits an account in one script.
 * @param settled - the payment hash of the offer that is paid by it: it is outstanding no more
 * @returns what was credited now, msat, and the account; `undefined` when it is too late
 * @throws StoreError `invalid` when the account is of another service, or would hold too much
 */
export async function creditAccount(
  engine: Engine,
  to: Pick<Credit, 'accountId' | 'service' | 'expiresAtSec'>,
  parts: readonly Pick<Credit, 'creditKey' | 'amountMsat'>[],
  settled: string | undefined,
): Promise<{ readonly account: Account; readonly creditedMsat: number } | undefined> {
  const { account, revocation, leases, endedLeases, offers } = engine.keys.of(to.accountId);
  const names = [account, revocation, leases, endedLeases, offers];
  const args = [String(to.expiresAtSec), to.service, settled ?? ''];
  for (const { creditKey, amountMsat } of parts) args.push(creditField(creditKey), String(amountMsat));
  const words: Words = await whileStale(engine, to.accountId, async () =>
    wordsOf(await engine.runStrongly('credit', ...names, engine.clock(), ...args)),
  );
  const [kind] = words;
  if (kind === 'too-late') return undefined;
  if (kind === 'other-service' || kind === 'too-much') throw refused(kind);
  return { account: accountOf(to.accountId, words), creditedMsat: amountAt(words, 0) };
}

function refused(why: 'other-service' | 'too-much'): StoreError {
  const what =
    why === 'other-service'
      ? 'The account belongs to another service'
      : 'The account would hold more than 2^53-1 msat';
  return new StoreError('invalid', `${what}; nothing was changed.`);
}
