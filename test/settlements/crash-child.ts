import { writeSync } from 'node:fs';
import { startGateway } from '../../gateway/gateway.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { createLndNode } from '../../node/lnd.ts';
import { testConfig, testService } from '../support/config.ts';
import { TEST_MASTER_KEY } from '../support/gateway.ts';

/*
 * A gateway in a process of its own, on a SQLite file and a node elsewhere, that kills itself without a word at one point of its
 * work. It says on stdout where it listens.
 */

const [, , file = '', nodeUrl = '', macaroon = '', upstream = '', killAt = ''] = process.argv;

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal may take a moment; nothing may happen in it.
  for (;;);
}

function mortal(store: Store): Store {
  return {
    ...store,
    async offer(offer, maxOutstanding) {
      if (killAt === 'before-offer') die();
      const outcome = await store.offer(offer, maxOutstanding);
      if (killAt === 'after-offer') die();
      return outcome;
    },
    async settleOffer(paymentHash, paidMsat) {
      // The purchase before it may be reported while the top-up's offer is open already.
      const isTopUp = (await store.openOffers('', 100)).some((offer) => offer.paymentHash === paymentHash);
      if (isTopUp && killAt === 'before-credit') die();
      const outcome = await store.settleOffer(paymentHash, paidMsat);
      if (isTopUp && killAt === 'after-credit') die();
      return outcome;
    },
  };
}

const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
const gateway = await startGateway({
  config: testConfig([testService({ name: 'quote', path: '/quote', price: '10 sat', upstream })]),
  node: createLndNode({ url: nodeUrl, macaroon, network: 'regtest', playMoney: true }),
  store: mortal(store),
  storeName: file,
  masterKeys: [TEST_MASTER_KEY],
  adminToken: 'test-admin-token',
  log: createLog({ level: 'silent', format: 'json' }),
  metrics: createMetrics({ version: 'test' }),
});
writeSync(1, `${gateway.addresses[0]?.url}\n`);
