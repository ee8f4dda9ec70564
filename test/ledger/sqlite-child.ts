import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { hash } from '../contract/store/subject.ts';

/*
 * A process that works on a store, to be killed or starved by a test. It says on stdout, one JSON array a line and written
 * before anything else happens, which verbs were acknowledged.
 */

const [, , file = '', task = '', argument = '0'] = process.argv;
const CALL_MSAT = 10;
const CREDIT_MSAT = 1_000;

function say(...words: readonly (string | number)[]): void {
  let left = Buffer.from(`${JSON.stringify(words)}\n`);
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left));
    } catch (error) {
      // The pipe is full: the test reads slower than this writes.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
}

/** Payments and calls, for ever: account, payment and keys follow from a number, and numbers from `argument` on. */
async function load(store: Store, first: number): Promise<void> {
  const expiresAtSec = Math.floor(Date.now() / 1000) + 3_600;
  let next = first;
  async function client(): Promise<void> {
    for (;;) {
      const n = next;
      next += 1;
      const accountId = hash(n);
      const claim = {
        paymentHash: hash(n),
        accountId,
        service: 'quote',
        creditMsat: msat(CREDIT_MSAT),
        expiresAtSec,
      };
      await store.redeem(claim);
      say('credited', n);
      await store.reserve({ accountId, leaseId: 'lease', amountMsat: msat(CALL_MSAT), ttlSec: 60 });
      for (let call = 0; call < 3; call += 1) {
        await store.spend({ accountId, key: `${n}:${call}`, amountMsat: msat(CALL_MSAT) });
        say('spent', n, call);
      }
      await store.voidSpend({ accountId, key: `${n}:0`, amountMsat: msat(CALL_MSAT) });
      say('voided', n);
    }
  }
  await Promise.all(Array.from({ length: 16 }, client));
}

/** Spends one account's money against other processes, and says how much it got. */
async function race(store: Store, calls: number): Promise<void> {
  say('ready');
  const keys = Array.from({ length: calls }, (_, n) => `${process.pid}:${n}`);
  const outcomes = await Promise.all(
    keys.map(async (key, n) => {
      // A few at a time, so that the processes' transactions interleave.
      for (let turn = 0; turn < n / 20; turn += 1) await store.ping();
      return store.spend({ accountId: hash(1), key, amountMsat: msat(1) });
    }),
  );
  say('spent', outcomes.filter(({ kind }) => kind === 'spent').length);
}

/** Credits until the disk is full, then again when it is told that there is room. */
async function fill(store: Store): Promise<void> {
  const expiresAtSec = Math.floor(Date.now() / 1000) + 3_600;
  const redeem = (n: number) =>
    store.redeem({
      paymentHash: hash(n),
      accountId: hash(n),
      service: 'quote',
      creditMsat: msat(CREDIT_MSAT),
      expiresAtSec,
    });
  let n = 1;
  for (; n < 100_000; n += 1) {
    const failure = await redeem(n).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) {
      say('credited', n);
      continue;
    }
    say('failed', n, failure instanceof StoreError ? failure.code : String(failure));
    break;
  }
  for await (const _ of process.stdin) break;
  await redeem(n);
  say('credited', n);
}

const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
if (task === 'load') await load(store, Number(argument));
if (task === 'race') await race(store, Number(argument));
if (task === 'fill') await fill(store);
await store.close();
