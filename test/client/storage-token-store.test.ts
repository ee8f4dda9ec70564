import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createStorageTokenStore, type TokenRecord } from '../../client/index.ts';
import { msat } from '../../node/msat.ts';

function storage(): {
  readonly items: Map<string, string>;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
} {
  const items = new Map<string, string>();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
  };
}

const RECORD: TokenRecord = {
  paymentHash: 'ab'.repeat(32),
  origin: 'http://host',
  service: 'live',
  scopes: ['/live'],
  scheme: 'L402',
  macaroon: 'AgEE',
  invoice: 'lnbcrt1',
  amountMsat: msat(5_000),
  invoiceExpiresAtSec: 2_000_000_000,
  createdAtMs: 1,
  state: { kind: 'pending' },
};

describe('a token store in the storage of a browser', () => {
  it('keeps what is put into it for the next page, by origin', async () => {
    const shared = storage();
    const store = createStorageTokenStore({ storage: shared });
    await store.put(RECORD);
    await store.update(RECORD.paymentHash, (record) => ({
      ...record,
      state: { kind: 'ready', preimage: 'cd'.repeat(32) },
    }));
    const next = createStorageTokenStore({ storage: shared });
    assert.deepEqual(await next.list('http://host'), [
      { ...RECORD, state: { kind: 'ready', preimage: 'cd'.repeat(32) } },
    ]);
    assert.deepEqual(await next.list('http://other'), []);
    await next.update(RECORD.paymentHash, () => undefined);
    assert.deepEqual(await store.list('http://host'), []);
  });

  it('puts aside what it can not read, and begins anew', async () => {
    const damaged = [
      '{',
      '{}',
      '[1]',
      JSON.stringify([{ ...RECORD, amountMsat: -1 }]),
      JSON.stringify([{ ...RECORD, state: { kind: 'ready' } }]),
    ];
    for (const text of damaged) {
      const shared = storage();
      shared.setItem('tokens', text);
      const store = createStorageTokenStore({ storage: shared, key: 'tokens', nowMs: () => 7 });
      assert.deepEqual(await store.list('http://host'), [], text);
      assert.equal(shared.getItem('tokens-damaged-7'), text);
      await store.put(RECORD);
      assert.equal((await store.list('http://host')).length, 1);
    }
  });

  it('fails before a purchase when the storage takes nothing', async () => {
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error('QuotaExceededError');
      },
    };
    await assert.rejects(createStorageTokenStore({ storage: full }).put(RECORD), /Quota/);
  });
});
