import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { renewGeneration } from '../../gateway/ledger/ledger.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import {
  askChallenge,
  buy,
  type TestGateway,
  type TestGatewayOptions,
  withCredential,
} from '../support/gateway.ts';
import { openScene, type Scene, type Upstream } from './scene.ts';

const KEY_A = createHash('sha256').update('key a').digest();
const KEY_B = createHash('sha256').update('key b').digest();

interface Shop {
  readonly scene: Scene;
  readonly upstream: Upstream;
  readonly file: string;
  readonly ledgerDir: string;
  /** Starts a gateway on the file, runs the body, and stops it. */
  run<T>(
    options: { readonly keys: readonly Buffer[]; readonly file?: string },
    body: (gateway: TestGateway) => Promise<T>,
  ): Promise<T>;
}

async function openShop(t: TestContext): Promise<Shop> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const folder = await scene.folder();
  const simnet = createSimnet({ nowMs: Date.now });
  scene.keep({ close: async () => simnet.close() });
  const shop = { scene, upstream, file: join(folder, 'store.db'), ledgerDir: join(folder, 'data') };
  return {
    ...shop,
    async run({ keys, file = shop.file }, body) {
      const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
      try {
        const gateway = await scene.gateway([{ price: '50 sat for 5 calls', upstream: upstream.origin }], {
          store,
          simnet,
          masterKeys: keys,
          ledgerDir: shop.ledgerDir,
          clock: { ms: Date.now() },
        });
        const result = await body(gateway);
        await gateway.gateway.stop();
        return result;
      } finally {
        await store.close();
      }
    },
  };
}

async function serves(gateway: TestGateway, credential: string): Promise<boolean> {
  const { status } = await fetch(`${gateway.url}/quote`, withCredential(credential));
  assert.ok(status === 200 || status === 402);
  return status === 200;
}

test('a store that was written with another master key stops the start, and says how to go on', async (t) => {
  const shop = await openShop(t);
  const credential = await shop.run({ keys: [KEY_A] }, (gateway) => buy(gateway, '/quote'));
  await assert.rejects(
    shop.run({ keys: [KEY_B] }, async () => assert.fail('it started')),
    (error: Error) => {
      assert.equal(error.name, 'StoreMismatchError');
      assert.match(error.message, /another master key.*sluice store new-generation/);
      assert.ok(
        !error.message.includes(KEY_A.toString('hex')) && !error.message.includes(KEY_B.toString('hex')),
      );
      return true;
    },
  );
  // The refused start has not spoilt anything.
  await shop.run({ keys: [KEY_A] }, async (gateway) => assert.ok(await serves(gateway, credential)));
});

test('another store, or an older copy of this one, stops the start: it would sell again what it has forgotten', async (t) => {
  const shop = await openShop(t);
  const copy = `${shop.file}.copy`;
  await shop.run({ keys: [KEY_A] }, async (gateway) => buy(gateway, '/quote'));
  await copyFile(shop.file, copy);
  await shop.run({ keys: [KEY_A] }, async (gateway) => buy(gateway, '/quote'));
  const started = async () => assert.fail('it started');
  await assert.rejects(shop.run({ keys: [KEY_A], file: copy }, started), /older copy/);
  await assert.rejects(
    shop.run({ keys: [KEY_A], file: `${shop.file}.new` }, started),
    /not the one that this gateway used last/,
  );
});

test('after a new generation the old credit is void and new credit is sold', async (t) => {
  const shop = await openShop(t);
  const old = await shop.run({ keys: [KEY_A] }, async (gateway) => {
    const credential = await buy(gateway, '/quote');
    assert.ok(await serves(gateway, credential));
    return credential;
  });
  const store = await openSqliteStore({ file: shop.file, nowMs: Date.now, spendDurability: 'normal' });
  await renewGeneration(store, shop.ledgerDir);
  await store.close();
  await shop.run({ keys: [KEY_B] }, async (gateway) => {
    const { reason } = await askChallenge(`${gateway.url}/quote`, withCredential(old));
    assert.equal(reason, 'bad-signature');
    assert.ok(await serves(gateway, await buy(gateway, '/quote')));
  });
});

test('keys rotate: the newest mints, all verify, and one that is taken away verifies no more', async (t) => {
  const shop = await openShop(t);
  const { run } = shop;
  const old = await run({ keys: [KEY_A] }, (gateway) => buy(gateway, '/quote'));
  const renewed = await run({ keys: [KEY_B, KEY_A] }, async (gateway) => {
    assert.ok(await serves(gateway, old));
    const credential = await buy(gateway, '/quote');
    assert.ok(await serves(gateway, credential));
    return credential;
  });
  await run({ keys: [KEY_B] }, async (gateway) => {
    assert.ok(await serves(gateway, renewed));
    const { reason } = await askChallenge(`${gateway.url}/quote`, withCredential(old));
    assert.equal(reason, 'bad-signature');
  });
  await run({ keys: [KEY_A, KEY_B] }, async (gateway) => {
    assert.ok(await serves(gateway, old));
    assert.ok(await serves(gateway, renewed));
  });
});

test('what was spent before a restart stays spent, what was not is still there', async (t) => {
  const shop = await openShop(t);
  const credential = await shop.run({ keys: [KEY_A] }, async (gateway) => {
    const bought = await buy(gateway, '/quote');
    for (let n = 0; n < 3; n += 1) assert.ok(await serves(gateway, bought));
    return bought;
  });
  await shop.run({ keys: [KEY_A] }, async (gateway) => {
    const served = [];
    for (let n = 0; n < 3; n += 1) served.push(await serves(gateway, credential));
    assert.deepEqual(served, [true, true, false]);
  });
});

for (const [host, config, starts] of [
  ['0.0.0.0', {}, false],
  ['::', {}, false],
  ['0.0.0.0', { allowPlayMoney: true }, true],
  ['localhost', {}, true],
] as const) {
  test(`play money at ${host}${'allowPlayMoney' in config ? ' with allowPlayMoney' : ''} ${starts ? 'starts' : 'is refused'}`, async (t) => {
    const scene = openScene(t);
    const options: TestGatewayOptions = {
      config: {
        ...config,
        listen: [
          { host: '127.0.0.1', port: 0 },
          { host, port: 0 },
        ],
      },
    };
    const starting = scene.gateway([{ price: '10 sat', upstream: 'http://127.0.0.1:9' }], options);
    if (starts) await starting;
    else await assert.rejects(starting, /pay with play money at .*allowPlayMoney: true/);
  });
}
