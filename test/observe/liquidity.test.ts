import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLiquidityWatch } from '../../gateway/observe/liquidity.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { msat, sats } from '../../node/msat.ts';
import { type Liquidity, NodeError } from '../../node/node.ts';

const ROOM: Liquidity = {
  inboundMsat: sats(1_000),
  largestReceivableMsat: sats(900),
  activeChannels: 2,
  inactiveChannels: 1,
  peers: 3,
  blockHeight: 850_000,
  blockAgeSec: 420,
  synced: true,
};

function setup() {
  const node = { answer: async (): Promise<Liquidity> => ROOM, asked: 0 };
  const clock = { ms: 1_800_000_000_000 };
  const prices = [
    { service: 'quote', amountMsat: sats(10) },
    { service: 'film', amountMsat: sats(500) },
  ];
  const said: string[] = [];
  const say = (level: string) => (message: string) => said.push(`${level} ${message}`);
  const watch = createLiquidityWatch({
    node: {
      receivable: () => {
        node.asked += 1;
        return node.answer();
      },
    },
    prices: () => prices,
    log: { info: say('info'), warn: say('warn'), error: say('error') },
    nowMs: () => clock.ms,
  });
  return { watch, node, clock, prices, said };
}

function withRoomFor(amountMsat: number): Liquidity {
  return { ...ROOM, largestReceivableMsat: msat(amountMsat) };
}

test('a node that can receive every price raises no alarm', async () => {
  const { watch, said } = setup();
  assert.equal(watch.latest(), undefined);
  await watch.check();
  assert.deepEqual(watch.latest(), ROOM);
  assert.deepEqual([watch.unsellable(), watch.soldOut(), said], [[], undefined, []]);
});

test('a price above what can be received: one loud line with what to do, again after ten minutes, and one when it is over', async () => {
  const { watch, node, clock, said } = setup();
  node.answer = async () => withRoomFor(499_999);
  await watch.check();
  await watch.check();
  assert.deepEqual(watch.unsellable(), ['film']);
  assert.equal(watch.soldOut(), undefined, 'the other one can be sold');
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /^error NO INBOUND CAPACITY.*film.*Open a channel/);
  clock.ms += 10 * 60_000;
  await watch.check();
  assert.equal(said.length, 2);
  node.answer = async () => withRoomFor(500_000);
  await watch.check();
  await watch.check();
  assert.deepEqual([watch.unsellable(), said.length], [[], 3]);
  assert.match(said[2] ?? '', /^info/);
});

test('when even the cheapest price can not be received, nothing can be sold', async () => {
  const { watch, node, prices } = setup();
  node.answer = async () => withRoomFor(9_999);
  await watch.check();
  assert.match(watch.soldOut() ?? '', /at most 9999 msat/);
  prices.length = 0;
  assert.equal(watch.soldOut(), undefined, 'where nothing is sold nothing is missing');
});

test('a node that can not tell refuses nothing: said once, and what was seen last holds for a while', async () => {
  const { watch, node, clock, said } = setup();
  node.answer = async () => withRoomFor(1);
  await watch.check();
  said.length = 0;
  node.answer = () => Promise.reject(new NodeError('unauthorized', 'no right'));
  await watch.check();
  await watch.check();
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /^warn the node does not tell/);
  assert.notEqual(watch.soldOut(), undefined);
  clock.ms += 46_000;
  assert.deepEqual([watch.latest(), watch.soldOut(), watch.unsellable()], [undefined, undefined, []]);
});

test('a node without this capability is never asked', async () => {
  const watch = createLiquidityWatch({
    node: {},
    prices: () => [{ service: 'quote', amountMsat: sats(10) }],
    log: { info: () => {}, warn: assert.fail, error: assert.fail },
    nowMs: Date.now,
  });
  await watch.start();
  await watch.check();
  assert.deepEqual([watch.latest(), watch.soldOut()], [undefined, undefined]);
  watch.stop();
});

test('who is refused makes it look again, at most every two seconds', async () => {
  const { watch, node, clock } = setup();
  await watch.check();
  watch.recheck();
  assert.equal(node.asked, 1);
  clock.ms += 2_000;
  watch.recheck();
  watch.recheck();
  assert.equal(node.asked, 2);
});

test('polls asked for at the same time are one', async () => {
  const { watch, node } = setup();
  await Promise.all([watch.check(), watch.check(), watch.check()]);
  assert.equal(node.asked, 1);
});

test('the gauges show what is known, and NaN for what is not', async () => {
  const { watch, node } = setup();
  const metrics = createMetrics({ version: '1' });
  metrics.readFrom({
    liquidity: () => watch.latest(),
    unsellable: () => watch.unsellable().length,
    pooledInvoices: () => 7,
  });
  const shown = async (): Promise<string[]> => (await metrics.scrape()).body.split('\n');
  assert.ok((await shown()).includes('sluice_node_receivable_msat Nan'));
  node.answer = async () => withRoomFor(20_000);
  await watch.check();
  const lines = await shown();
  for (const line of [
    'sluice_node_inbound_msat 1000000',
    'sluice_node_receivable_msat 20000',
    'sluice_node_channels{state="active"} 2',
    'sluice_node_channels{state="inactive"} 1',
    'sluice_node_peers 3',
    'sluice_node_block_height 850000',
    'sluice_node_block_age_seconds 420',
    'sluice_node_synced 1',
    'sluice_services_without_inbound 1',
    'sluice_invoice_pool_size 7',
  ]) {
    assert.ok(lines.includes(line), line);
  }
});
