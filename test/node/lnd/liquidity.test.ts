import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rejectsWith } from '../../contract/node.contract.ts';
import { type Answer, json, NOW_SEC, status, withNode } from './fake-lnd.ts';

/* Forms: lnrpc.ListChannelsResponse and lnrpc.GetInfoResponse of LND 0.21. */

const INFO = {
  num_peers: 3,
  block_height: 850_000,
  best_header_timestamp: String(NOW_SEC - 420),
  synced_to_chain: false,
};

function channel(remoteSat: string, change: object = {}) {
  const constraints = { chan_reserve_sat: '10000', max_pending_amt_msat: '990000000', csv_delay: 144 };
  return { active: true, remote_balance: remoteSat, remote_constraints: constraints, ...change };
}

function lnd(channels: unknown, info: unknown = INFO): Answer {
  return (request, response, body) =>
    json(200, request.url === '/v1/channels' ? { channels } : info)(request, response, body);
}

async function receivableOf(channels: unknown) {
  let seen: unknown;
  await withNode(lnd(channels), async (node) => {
    seen = await node.receivable?.();
  });
  return seen;
}

test('inbound counts every channel; what can be received, the active ones without the reserve of the peer', async () => {
  const channels = [
    channel('500000'),
    channel('250000'),
    channel('4000'),
    channel('900000', { active: false }),
  ];
  assert.deepEqual(await receivableOf(channels), {
    inboundMsat: 1_654_000_000,
    largestReceivableMsat: 730_000_000,
    activeChannels: 3,
    inactiveChannels: 1,
    peers: 3,
    blockHeight: 850_000,
    blockAgeSec: 420,
    synced: false,
  });
});

test('a node without channels can receive nothing', async () => {
  assert.partialDeepStrictEqual(await receivableOf([]), {
    inboundMsat: 0,
    largestReceivableMsat: 0,
    activeChannels: 0,
  });
});

test('a channel without constraints has no reserve', async () => {
  const seen = await receivableOf([channel('5', { remote_constraints: null })]);
  assert.partialDeepStrictEqual(seen, { largestReceivableMsat: 5_000 });
});

test('what a macaroon may not see, or has another form, rejects: the caller then refuses nothing', async () => {
  await withNode(status(2, 'permission denied'), async (node) => {
    await rejectsWith(node.receivable?.() ?? Promise.resolve(), 'unauthorized');
  });
  for (const channels of [undefined, [{ active: true }], [channel('99999999999999999')], [channel('1e9')]]) {
    await withNode(lnd(channels), async (node) => {
      await rejectsWith(node.receivable?.() ?? Promise.resolve(), 'protocol');
    });
  }
});
