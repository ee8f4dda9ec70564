import assert from 'node:assert/strict';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { balanceOf, openScene } from '../e2e/scene.ts';
import { buy, withCredential } from '../support/gateway.ts';

/*
 * A replica that takes over may not have what its master acknowledged last. The gateway remembers that a credential was redeemed, and
 * would answer 402 for ever to somebody who has paid.
 */

const FORGOTTEN = {
  'its credit': 'DELETE FROM credits; DELETE FROM accounts; DELETE FROM account_names',
  'its credit and its claim':
    'DELETE FROM claims; DELETE FROM credits; DELETE FROM accounts; DELETE FROM account_names',
};

for (const [what, sql] of Object.entries(FORGOTTEN)) {
  for (const price of ['50 sat for 5 calls', '10 msat/byte'] as const) {
    test(`a paid credential at ${price} is good when the store forgot ${what}, and is credited once`, async (t) => {
      const scene = openScene(t);
      const file = path.join(await scene.folder(), 'store.db');
      const store = scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
      const gateway = await scene.gateway([{ price, upstream: (await scene.upstream()).origin }], { store });
      const credential = await buy(gateway, '/quote');
      const call = async () => {
        const answer = await fetch(`${gateway.url}/quote`, withCredential(credential));
        await answer.arrayBuffer();
        return answer.status;
      };
      assert.equal(await call(), 200);
      const other = new DatabaseSync(file);
      other.exec(sql);
      other.close();
      // Two at once on the same forgetful store; of bytes, the first sets aside all that there is.
      const atOnce = price === '10 msat/byte' ? 1 : 2;
      assert.deepEqual(new Set(await Promise.all(Array.from({ length: atOnce }, call))), new Set([200]));
      const { creditedMsat, spentMsat, accounts } = await store.totals();
      assert.equal(accounts, 1);
      assert.equal(creditedMsat, spentMsat + (await balanceOf(gateway, credential)));
      assert.equal(await call(), 200);
      assert.equal((await store.totals()).creditedMsat, creditedMsat);
    });
  }
}
