import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { sats } from '../../node/msat.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import { ask } from '../proxy/wire.ts';
import { buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { eventually, openScene } from './scene.ts';

/* What can not be paid is not sold, and the operator sees which of the reasons it is. */

async function codeOf(url: string): Promise<readonly [status: number, code: string | undefined]> {
  const { status, body } = await ask(url);
  return [status, /"code":"([a-z-]+)"/.exec(body.toString())?.[1]];
}

async function readiness(gateway: TestGateway): Promise<readonly [status: number, code: string | undefined]> {
  const { status, body } = await ask(`${gateway.adminUrl}/readyz`);
  const { parts }: { parts: { node: { code?: string } } } = JSON.parse(body.toString());
  return [status, parts.node.code];
}

test('a price above what the node can receive is refused with an alarm; the others are sold, and it ends by itself', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms });
  scene.keep({ close: async () => simnet.close() });
  let room = sats(100);
  const log: string[] = [];
  const gateway = await scene.gateway(
    [
      { name: 'cheap', path: '/cheap', price: '10 sat', upstream: upstream.origin },
      { name: 'dear', path: '/dear', price: '500 sat', upstream: upstream.origin },
    ],
    {
      clock,
      simnet,
      log: createLog({ level: 'info', format: 'json', destination: { write: (line) => log.push(line) } }),
      wrapNode: (real) => ({
        ...real,
        receivable: async () => {
          const seen = await real.receivable?.();
          assert.ok(seen);
          return { ...seen, largestReceivableMsat: room };
        },
      }),
    },
  );
  await eventually(async () => (await codeOf(`${gateway.url}/dear`))[1] === 'no-inbound');
  const refused = await ask(`${gateway.url}/dear`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['retry-after'], '60');
  assert.equal(refused.headers['www-authenticate'], undefined);
  assert.ok(log.some((line) => line.includes('NO INBOUND CAPACITY') && line.includes('dear')));
  assert.deepEqual(await readiness(gateway), [200, undefined]);
  const credential = await buy(gateway, '/cheap');
  assert.equal((await fetch(`${gateway.url}/cheap`, withCredential(credential))).status, 200);
  const { body } = await gateway.metrics.scrape();
  assert.match(body, /sluice_invoices_failed_total\{reason="no-inbound"\} \d/);
  room = sats(500);
  // Who is refused makes it look again.
  clock.ms += 2_000;
  await eventually(async () => (await codeOf(`${gateway.url}/dear`))[0] === 402);
});
