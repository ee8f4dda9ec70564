import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createLndNode } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import { type LightningNode, NodeError } from '../../node/node.ts';
import { type LndRestServer, serveLndRest } from '../../node/simnet/lnd-rest.ts';
import { GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { eventually } from '../support/eventually.ts';
import { type Relay, startRelay } from '../support/relay.ts';
import { untilCredited } from '../support/top-up.ts';
import { ACCOUNT, openRig, type Rig, withoutLookUps } from './rig.ts';

/** A wire to the node that breaks after so many bytes of answers; each new connection may be given another number. */
interface BrittleWire {
  readonly url: string;
  connections(): number;
}

async function brittleWire(
  t: TestContext,
  target: LndRestServer,
  bytesOf: (connection: number) => number,
): Promise<BrittleWire> {
  const { port } = new URL(target.url);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = net.createServer((client) => {
    let left = bytesOf(connections);
    connections += 1;
    const node = net.connect({ port: Number(port), host: '127.0.0.1' });
    for (const socket of [client, node]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.pipe(node);
    client.on('close', () => node.destroy());
    node.on('close', () => client.destroy());
    node.on('data', (bytes: Buffer) => {
      client.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left > 0) return;
      client.end(() => client.resetAndDestroy());
      node.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
  };
}

function lndAt(t: TestContext, rig: Rig, url: string): LightningNode {
  const node = createLndNode({
    url,
    macaroon: rig.simnet.wallet(GATEWAY_WALLET).macaroon,
    nowMs: () => rig.clock.ms,
    timeoutMs: 5_000,
    circuit: { firstPauseMs: 1, maxPauseMs: 3 },
    playMoney: true,
  });
  t.after(() => node.close());
  return node;
}

async function openRest(t: TestContext): Promise<{ rig: Rig; rest: LndRestServer }> {
  const rig = await openRig(t);
  const rest = await serveLndRest(rig.simnet, { host: '127.0.0.1', port: 0, nowMs: () => rig.clock.ms });
  t.after(() => rest.close());
  return { rig, rest };
}

test('wherever the subscription breaks, every settlement is credited once', async (t) => {
  const { rig, rest } = await openRest(t);
  // What is settled before anything listens, so that the first settlement and the backlog are on the wire too.
  for (let n = 0; n < 3; n += 1) await rig.pay((await rig.offer()).bolt11);
  // From no byte at all on, 127 more each time: heads, middles of lines, ends of lines, several lines.
  const wire = await brittleWire(t, rest, (connection) => connection * 127);
  rig.start({ node: withoutLookUps(lndAt(t, rig, wire.url)), timing: { firstPauseMs: 1, maxPauseMs: 3 } });
  let offers = 3;
  while (wire.connections() < 60) {
    const seen = wire.connections();
    await rig.pay((await rig.offer()).bolt11);
    offers += 1;
    await eventually(
      () => wire.connections(),
      (now) => now > seen,
    );
  }
  const account = await untilCredited(rig.store, ACCOUNT, 1_000 + offers * 5_000);
  assert.equal(account.creditedMsat, 1_000 + offers * 5_000);
});

test('wherever the look-ups break, every paid offer is credited once, and no open one is dropped', async (t) => {
  const { rig, rest } = await openRest(t);
  const offers = await Promise.all(Array.from({ length: 12 }, () => rig.offer()));
  for (const { bolt11 } of offers.slice(0, 9)) await rig.pay(bolt11);
  const wire = await brittleWire(t, rest, (connection) => (connection % 40) * 97);
  const node = lndAt(t, rig, wire.url);
  rig.start({
    node: { ...node, capabilities: { ...node.capabilities, settlementFeed: false } },
    timing: { firstPauseMs: 1, maxPauseMs: 3, pollEveryMs: 1 },
  });
  const account = await untilCredited(rig.store, ACCOUNT, 46_000);
  await eventually(
    () => wire.connections(),
    (seen) => seen > 60,
  );
  assert.equal(account.creditedMsat, 46_000);
  assert.equal((await rig.store.openOffers('', 100)).length, 3);
});

test('a node that goes away and comes back again and again loses no top-up', async (t) => {
  const { rig, rest } = await openRest(t);
  const feed = rig.start({ node: lndAt(t, rig, rest.url) });
  let offers = 0;
  for (let round = 0; round < 8; round += 1) {
    await rig.pay((await rig.offer()).bolt11);
    const { bolt11 } = await rig.offer();
    // Paid at the very moment of the cut, or while the node answers nobody.
    const paying = rig.pay(bolt11);
    rig.simnet.configure({ offline: true });
    await paying;
    await eventually(
      () => feed.connected(),
      (connected) => !connected,
    );
    offers += 2;
    rig.simnet.configure({ offline: false });
    if (round % 2 === 0) await untilCredited(rig.store, ACCOUNT, 1_000 + offers * 5_000);
  }
  await untilCredited(rig.store, ACCOUNT, 1_000 + offers * 5_000);
  assert.equal((await rig.account()).creditedMsat, 1_000 + offers * 5_000);
});

test('an outage is said once in the log, not at every try', async (t) => {
  const { rig, rest } = await openRest(t);
  rig.simnet.configure({ offline: true });
  let tries = 0;
  const node = lndAt(t, rig, rest.url);
  rig.start({
    node: {
      ...node,
      settlements: (cursor, signal) => {
        tries += 1;
        return node.settlements(cursor, signal);
      },
    },
  });
  await eventually(
    () => tries,
    (seen) => seen >= 6,
  );
  assert.equal(rig.logged().match(/feed of settlements was lost/g)?.length, 1);
});

/** A way to the node that can swallow what is sent. */
async function swallowingWire(t: TestContext, target: LndRestServer): Promise<Relay & { url: string }> {
  const wire = await startRelay({ host: '127.0.0.1', port: Number(new URL(target.url).port) });
  t.after(() => wire.stop());
  return { ...wire, url: `http://127.0.0.1:${wire.port}` };
}

test('a connection that was swallowed is noticed by its silence: the feed is asked anew, and credits what was paid meanwhile', async (t) => {
  const { rig, rest } = await openRest(t);
  const wire = await swallowingWire(t, rest);
  const feed = rig.start({
    node: withoutLookUps(lndAt(t, rig, wire.url)),
    timing: { silentMs: 300, probeMs: 5_000 },
  });
  await rig.pay((await rig.offer()).bolt11);
  await untilCredited(rig.store, ACCOUNT, 6_000);
  for (let round = 1; round <= 3; round += 1) {
    wire.swallow();
    await rig.pay((await rig.offer()).bolt11);
    await untilCredited(rig.store, ACCOUNT, 6_000 + round * 5_000);
    assert.equal(feed.connected(), true, 'it never failed');
  }
  assert.doesNotMatch(rig.logged(), /was lost|does not know/);
});

test('a node that answers nothing is not taken for one that counts anew', async (t) => {
  const { rig, rest } = await openRest(t);
  await rig.store.advanceSettlementCursor(7);
  const wire = await swallowingWire(t, rest);
  const node = lndAt(t, rig, wire.url);
  const asked: number[] = [];
  rig.start({
    node: {
      ...node,
      lookupInvoice: () => Promise.reject(new NodeError('timeout', 'nobody answers')),
      settlements(cursor, signal) {
        asked.push(cursor);
        const feed = node.settlements(cursor, signal);
        wire.swallow();
        return feed;
      },
    },
    timing: { probeMs: 20 },
  });
  await eventually(
    () => asked.length,
    (count) => count >= 3,
  );
  assert.deepEqual([...new Set(asked)], [6]);
  assert.doesNotMatch(rig.logged(), /does not know the settlement/);
});

test('a node that counts anew is read from its first settlement, and nothing is credited twice', async (t) => {
  const { rig, rest } = await openRest(t);
  const paid = [await rig.offer(), await rig.offer()];
  for (const { bolt11 } of paid) await rig.pay(bolt11);
  // The ledger has seen more than the node knows: it was restored from an older copy.
  await rig.store.advanceSettlementCursor(1_000);
  await rig.store.settleOffer(paid[0]?.paymentHash ?? '', msat(5_000));
  rig.start({ node: withoutLookUps(lndAt(t, rig, rest.url)), timing: { probeMs: 50 } });
  await untilCredited(rig.store, ACCOUNT, 11_000);
  await rig.pay((await rig.offer()).bolt11);
  const account = await untilCredited(rig.store, ACCOUNT, 16_000);
  assert.equal(account.creditedMsat, 16_000);
  assert.match(rig.logged(), /does not know the settlement/);
});
