/*
 * What a ledger takes in Redis: accounts with one payment each, and the keys of some spends. Starts a redis-server of its own.
 * `node test/bench/redis-memory.ts [--accounts N] [--spends N]`, by default 100,000 of each.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore } from '../../gateway/ledger/redis.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { findRedisServer, HOW_TO_GET_REDIS } from '../support/redis-program.ts';
import { startRedis, storeOn } from '../support/redis-server.ts';

/** Verbs under way at a time. */
const AT_ONCE = 500;

const { values: flags } = parseArgs({
  options: {
    accounts: { type: 'string', default: '100000' },
    spends: { type: 'string', default: '100000' },
  },
});

function digits(kind: string, n: number): string {
  return createHash('sha256').update(`${kind} ${n}`).digest('hex');
}

function accountId(n: number): string {
  return digits('account', n);
}

async function inBatches(total: number, work: (n: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < total; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, total - from) }, (_, n) => work(from + n)));
  }
}

async function fund(store: Store, n: number): Promise<void> {
  await store.redeem({
    paymentHash: digits('payment', n),
    accountId: accountId(n),
    service: 'quote',
    creditMsat: msat(1_000_000),
    expiresAtSec: Math.floor(Date.now() / 1000) + 30 * 86_400,
  });
}

async function measure(): Promise<void> {
  const server = await startRedis();
  const used = async (): Promise<number> =>
    Number(/used_memory:(\d+)/.exec(String(await server.call('INFO', 'memory')))?.[1]);
  try {
    const store = await openRedisStore({ client: await connectRedis(storeOn(server)), name: 'bench' });
    const accounts = Number(flags.accounts);
    const spends = Number(flags.spends);
    const empty = await used();
    await inBatches(accounts, (n) => fund(store, n));
    const funded = await used();
    await inBatches(spends, (n) =>
      store.spend({
        accountId: accountId(n % accounts),
        key: `abcdefghijkl:${n.toString(36)}`,
        amountMsat: msat(10_000),
      }),
    );
    const spent = await used();
    const startedMs = performance.now();
    const totals = await store.totals();
    const totalsMs = performance.now() - startedMs;
    console.log(`${totals.accounts} accounts, one payment each: ${((funded - empty) / 1e6).toFixed(0)} MB`);
    console.log(`an account and its claim: ${((funded - empty) / accounts).toFixed(0)} bytes`);
    console.log(`the key of a spend, for eleven minutes: ${((spent - funded) / spends).toFixed(0)} bytes`);
    console.log(`totals of all of them: ${(totalsMs / 1000).toFixed(1)} s`);
    await store.close();
  } finally {
    await server.stop();
  }
}

if (findRedisServer() === undefined) console.log(HOW_TO_GET_REDIS);
else await measure();
