import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { balanceOf, openScene } from '../e2e/scene.ts';
import { ask } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';

const HOUR_MS = 3_600_000;

test('after one purge by a clock that was ahead nothing is sold that could not be redeemed, until the time has come', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: upstream.origin },
    ],
    { log: createLog({ level: 'info', format: 'json', destination }) },
  );
  const statusOf = async (path: string, init: RequestInit = {}) => {
    const answer = await ask(gateway.url + path, {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init.headers)),
    });
    return [answer.status, /"code":"([a-z-]+)"/.exec(answer.body.toString())?.[1]];
  };
  const good = await buy(gateway, '/quote');
  const inUse = await buy(gateway, '/quote');
  assert.deepEqual(await statusOf('/quote', withCredential(inUse)), [200, undefined]);

  gateway.clock.ms += HOUR_MS;
  await gateway.store.purge();
  gateway.clock.ms -= HOUR_MS;

  const open = await eventually(
    async () => (await statusOf('/pass'))[0],
    (status) => status === 503,
  );
  assert.equal(open, 503);
  const invoices = gateway.simnet.openInvoices();
  assert.deepEqual(await statusOf('/pass'), [503, 'clock-ahead']);
  assert.deepEqual(await statusOf('/quote', withCredential(inUse)), [503, 'clock-ahead']);
  const topUp = withCredential(good, { method: 'POST' });
  assert.deepEqual(await statusOf('/.l402/topup', topUp), [503, 'clock-ahead']);
  assert.equal(gateway.simnet.openInvoices(), invoices, 'no invoice that somebody could pay');
  assert.deepEqual(
    await statusOf('/quote', withCredential(good)),
    [200, undefined],
    'who has paid is served',
  );
  assert.equal(await balanceOf(gateway, good), 0);
  const said = lines.filter((line) => line.includes('NOTHING IS SOLD'));
  assert.equal(said.length, 1);
  assert.equal(JSON.parse(said[0] ?? '').aheadSec, HOUR_MS / 1000);
  const ready = await eventually(
    async () => (await ask(`${gateway.adminUrl}/readyz`)).body.toString(),
    (body) => body.includes('clock-ahead'),
  );
  assert.match(ready, /"status":"not-ready"/);

  gateway.clock.ms += HOUR_MS;
  await eventually(
    async () => (await statusOf('/pass'))[0],
    (status) => status === 402,
  );
  const { macaroon, invoice } = await askChallenge(`${gateway.url}/pass`);
  const bought = `L402 ${macaroon}:${await gateway.pay(invoice)}`;
  assert.deepEqual(await statusOf('/pass', withCredential(bought)), [200, undefined]);
});
