import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { msat } from '../../node/msat.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import { eventually } from '../support/eventually.ts';
import { buy } from '../support/gateway.ts';
import { askTopUp, payAmount, untilCredited } from '../support/top-up.ts';
import { openScene, termsOf } from './scene.ts';
import { isBalanced, listen, numbersIn, QUICK, SSE, settled, tick } from './streams-scene.ts';

/* What a stream costs when its gateway dies, and what becomes of a top-up that nobody was there to see. */

const PRICE = '10 sat/second';
/** Most that a gateway has set aside or not yet written when it dies: a slice and what is asked ahead of its end, ms. */
const AHEAD_MS = QUICK.sliceMs + 100;

test('a gateway killed in the middle of a stream: its lease ends by itself, little is lost, nothing is charged twice', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => {
    res.writeHead(200, SSE);
    tick(res);
  });
  const file = join(await scene.folder(), 'store.db');
  const child = fork(join(import.meta.dirname, 'streams-child.ts'), [file, upstream.origin, PRICE], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [{ url, credential }] = (await once(child, 'message')) as [{ url: string; credential: string }];
  const { accountId } = termsOf(credential);
  const fromMs = performance.now();
  const stream = await listen(t, `${url}/quote`, { headers: { authorization: credential } });
  await stream.until(/data: 40\n/);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  assert.equal(await stream.end, 'broken');
  await exited;
  const deliveredMs = performance.now() - fromMs;

  const skew = { ms: 0 };
  const nowMs = () => Date.now() + skew.ms;
  const store = scene.keep(await openSqliteStore({ file, nowMs, spendDurability: 'normal' }));
  const dead = await store.account(accountId);
  assert.ok(dead);
  isBalanced(dead);
  assert.ok(dead.spentMsat / 10 <= deliveredMs, `${dead.spentMsat} for ${deliveredMs} ms`);
  assert.ok(dead.reservedMsat > 0 && dead.reservedMsat / 10 <= 2 * AHEAD_MS, String(dead.reservedMsat));

  skew.ms = 15_000;
  await store.purge();
  const freed = await settled(store, credential);
  assert.equal(freed.spentMsat, dead.spentMsat);
  assert.equal(freed.balanceMsat, dead.balanceMsat + dead.reservedMsat);

  const log: string[] = [];
  const gateway = await scene.gateway([{ price: PRICE, upstream: upstream.origin, metering: QUICK }], {
    store,
    log: createLog({ level: 'info', format: 'json', destination: { write: (line) => log.push(line) } }),
  });
  const again = await listen(t, `${gateway.url}/quote`, { headers: { authorization: credential } });
  await again.until(/data: 10\n/);
  again.leave();
  const [line] = await eventually(
    () => log.filter((one) => one.includes('"a stream ended"')),
    ({ length }) => length > 0,
  );
  const { spentMsat } = await settled(store, credential);
  assert.equal(spentMsat, dead.spentMsat + JSON.parse(line ?? '').billedMsat);
});

test('a top-up that is paid while the gateway is down is credited at the next start, and the stream is bought on', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => {
    res.writeHead(200, SSE);
    tick(res);
  });
  const simnet = createSimnet({ nowMs: Date.now });
  scene.keep({ close: async () => simnet.close() });
  const file = join(await scene.folder(), 'store.db');
  const store = scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
  const start = () =>
    scene.gateway(
      [{ price: PRICE, upstream: upstream.origin, metering: { ...QUICK, depositMsat: msat(5_000) } }],
      { store, simnet },
    );
  const first = await start();
  const credential = await buy(first, '/quote');
  const { accountId } = termsOf(credential);
  const stream = await listen(t, `${first.url}/quote`, { headers: { authorization: credential } });
  await stream.until(/payment-need-topup/);
  const made = await askTopUp(first.url, credential, { amountMsat: 30_000 });
  await first.gateway.stop();
  await stream.end;
  assert.equal((await settled(store, credential)).spentMsat, 5_000);
  await payAmount(simnet, made.invoice);
  assert.equal((await store.account(accountId))?.creditedMsat, 5_000);

  const second = await start();
  const credited = await untilCredited(store, accountId, 35_000);
  assert.equal(credited.balanceMsat, 30_000);
  const again = await listen(t, `${second.url}/quote`, { headers: { authorization: credential } });
  assert.equal(again.response.statusCode, 200);
  await again.until(/data: 20\n/);
  assert.ok(numbersIn(again.text()).length >= 20);
  again.leave();
  const { creditedMsat, spentMsat } = await settled(store, credential);
  assert.equal(creditedMsat, 35_000);
  assert.ok(spentMsat > 5_000);
});
