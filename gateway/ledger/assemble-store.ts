import type { Engine } from './books.ts';
import {
  checkAccountId,
  checkAttempt,
  checkAttemptEnd,
  checkAttemptName,
  checkClaim,
  checkCommits,
  checkCredit,
  checkCursor,
  checkFingerprints,
  checkOffer,
  checkPage,
  checkPaymentHash,
  checkPaymentHashes,
  checkRelease,
  checkReserve,
  checkRevocation,
  checkSettlement,
  checkSpend,
  MAX_PAGE,
} from './check-input.ts';
import type { Commit, CommitOutcome, Store } from './store.ts';
import { readAccount } from './verbs/accounts.ts';
import { beginAttempt, endAttempt, voidAttempt } from './verbs/attempts.ts';
import { claim, credit, redeem } from './verbs/claims.ts';
import { admitMasterKeys, increment, newGeneration, raise, revoke } from './verbs/identity.ts';
import { commitAll, release, reserve } from './verbs/leases.ts';
import { dropOffer, offer, settleOffer } from './verbs/offers.ts';
import { paymentEntry } from './verbs/payments.ts';
import { purge } from './verbs/purge.ts';
import { refundSpend, spend, voidSpend } from './verbs/spends.ts';

/** Commits that run in one transaction: ten thousand streams in one would hold the event loop too long. */
const COMMIT_CHUNK = 250;
/** Offers of one account in an answer. */
const MAX_ACCOUNT_OFFERS = 100;

type Part<K extends keyof Store> = Pick<Store, K>;

/** The store port over an engine: each verb checks its input, then runs its rule as one transaction. */
export function assembleStore(engine: Engine): Store {
  return {
    ...identityVerbs(engine),
    ...creditVerbs(engine),
    ...debitVerbs(engine),
    ...leaseVerbs(engine),
    ...accountVerbs(engine),
    ...offerVerbs(engine),
    ...paymentVerbs(engine),
    clockMs: async (accountId) => {
      checkAccountId(accountId);
      return engine.read('clockMs', () => Math.floor(engine.nowMs()));
    },
    purge: () => engine.grouped('purge', purge),
    clock: () => engine.read('clock', (books, nowSec) => Math.max(nowSec, books.counter('clock'))),
    totals: () => engine.read('totals', (books) => books.totals()),
    // A file that is open stays the file that it is.
    verify: async () => {},
    ping: () => engine.read('ping', (books) => void books.generation()),
    close: () => engine.close(),
  };
}

function identityVerbs(
  engine: Engine,
): Part<'generation' | 'newGeneration' | 'admitMasterKeys' | 'epoch' | 'nextEpoch'> {
  return {
    generation: () => engine.read('generation', (books) => books.generation()),
    newGeneration: () => engine.durable('newGeneration', newGeneration),
    admitMasterKeys: async (fingerprints) => {
      checkFingerprints(fingerprints);
      return engine.durable('admitMasterKeys', (books) => admitMasterKeys(books, fingerprints));
    },
    epoch: () => engine.read('epoch', (books) => books.counter('epoch')),
    nextEpoch: () => engine.durable('nextEpoch', (books) => increment(books, 'epoch')),
  };
}

function creditVerbs(engine: Engine): Part<'claim' | 'credit' | 'redeem'> {
  return {
    claim: async (asked) => {
      checkClaim(asked);
      return engine.durable('claim', (books, nowSec) => claim(books, nowSec, asked));
    },
    credit: async (asked) => {
      checkCredit(asked);
      return engine.durable('credit', (books, nowSec) => credit(books, nowSec, asked));
    },
    redeem: async (asked) => {
      checkClaim(asked);
      return engine.durable('redeem', (books, nowSec) => redeem(books, nowSec, asked));
    },
  };
}

function debitVerbs(
  engine: Engine,
): Part<'spend' | 'voidSpend' | 'refundSpend' | 'beginAttempt' | 'endAttempt' | 'voidAttempt'> {
  return {
    spend: async (asked) => {
      checkSpend(asked);
      return engine.grouped('spend', (books, nowSec) => spend(books, nowSec, asked));
    },
    voidSpend: async (asked) => {
      checkSpend(asked);
      return engine.grouped('voidSpend', (books, nowSec) => voidSpend(books, nowSec, asked));
    },
    refundSpend: async (asked) => {
      checkSpend(asked);
      return engine.grouped('refundSpend', (books, nowSec) => refundSpend(books, nowSec, asked));
    },
    beginAttempt: async (asked) => {
      checkAttempt(asked);
      return engine.grouped('beginAttempt', (books, nowSec) => beginAttempt(books, nowSec, asked));
    },
    endAttempt: async (asked, end) => {
      checkAttemptEnd(asked, end);
      return engine.grouped('endAttempt', (books, nowSec) => endAttempt(books, nowSec, asked, end));
    },
    voidAttempt: async (asked) => {
      checkAttemptName(asked);
      return engine.grouped('voidAttempt', (books, nowSec) => voidAttempt(books, nowSec, asked));
    },
  };
}

function leaseVerbs(engine: Engine): Part<'reserve' | 'commit' | 'release'> {
  return {
    reserve: async (asked) => {
      checkReserve(asked);
      return engine.grouped('reserve', (books, nowSec) => reserve(books, nowSec, asked));
    },
    commit: async (commits) => {
      checkCommits(commits);
      return commitInChunks(engine, commits);
    },
    release: async (asked) => {
      checkRelease(asked);
      return engine.grouped('release', (books, nowSec) => release(books, nowSec, asked));
    },
  };
}

async function commitInChunks(engine: Engine, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const chunks: Promise<readonly CommitOutcome[]>[] = [];
  for (let from = 0; from < commits.length; from += COMMIT_CHUNK) {
    const chunk = commits.slice(from, from + COMMIT_CHUNK);
    chunks.push(engine.grouped('commit', (books, nowSec) => commitAll(books, nowSec, chunk)));
  }
  return (await Promise.all(chunks)).flat();
}

function accountVerbs(engine: Engine): Part<'account' | 'revoke' | 'revocationsAfter'> {
  return {
    account: async (accountId) => {
      checkAccountId(accountId);
      return engine.read('account', (books, nowSec) => readAccount(books, nowSec, accountId));
    },
    revoke: async (accountId, untilSec) => {
      checkRevocation(accountId, untilSec);
      return engine.durable('revoke', (books) => revoke(books, accountId, untilSec));
    },
    revocationsAfter: async (sequence) => {
      checkCursor('sequence', sequence);
      return engine.read('revocationsAfter', (books) => books.revocationsAfter(sequence, MAX_PAGE));
    },
  };
}

function offerVerbs(
  engine: Engine,
): Part<
  | 'offer'
  | 'settleOffer'
  | 'openOffers'
  | 'offersOf'
  | 'dropOffer'
  | 'settlementCursor'
  | 'advanceSettlementCursor'
> {
  return {
    offer: async (asked, maxOutstanding) => {
      checkOffer(asked, maxOutstanding);
      return engine.durable('offer', (books, nowSec) => offer(books, nowSec, asked, maxOutstanding));
    },
    settleOffer: async (paymentHash, paidMsat) => {
      checkSettlement(paymentHash, paidMsat);
      return engine.durable('settleOffer', (books, nowSec) =>
        settleOffer(books, nowSec, paymentHash, paidMsat),
      );
    },
    openOffers: async (afterHash, limit) => {
      checkPage(afterHash, limit);
      return engine.read('openOffers', (books) => books.openOffers(afterHash, limit));
    },
    offersOf: async (accountId) => {
      checkAccountId(accountId);
      return engine.read('offersOf', (books, nowSec) =>
        books.payableOffers(accountId, nowSec, MAX_ACCOUNT_OFFERS),
      );
    },
    dropOffer: async (paymentHash) => {
      checkPaymentHash(paymentHash);
      return engine.grouped('dropOffer', (books) => dropOffer(books, paymentHash));
    },
    settlementCursor: () => engine.read('settlementCursor', (books) => books.counter('settlement-cursor')),
    advanceSettlementCursor: async (cursor) => {
      checkCursor('cursor', cursor);
      return engine.durable('advanceSettlementCursor', (books) => raise(books, 'settlement-cursor', cursor));
    },
  };
}

function paymentVerbs(engine: Engine): Part<'paymentEntries' | 'purgeWatermark'> {
  return {
    paymentEntries: async (paymentHashes) => {
      checkPaymentHashes(paymentHashes);
      return engine.read('paymentEntries', (books) => paymentHashes.map((hash) => paymentEntry(books, hash)));
    },
    purgeWatermark: () => engine.read('purgeWatermark', (books) => books.counter('watermark')),
  };
}
