import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import type { NodeError } from '../../node/node.ts';
import { rejectsWith } from '../contract/node.contract.ts';
import {
  type Answer,
  addInvoiceAnswer,
  HASH,
  json,
  NOW_SEC,
  REQUEST,
  status,
  withNode,
} from './lnd/fake-lnd.ts';

describe('errors of LND', () => {
  const cases: [string, Answer, NodeError['code']][] = [
    ['a locked wallet', status(2, 'wallet locked, unlock it to enable full RPC access'), 'not-ready'],
    ['no wallet', status(2, 'wallet not created, create one to enable full RPC access'), 'not-ready'],
    [
      'starting',
      status(2, 'the RPC server is in the process of starting up, but not yet ready to accept calls'),
      'not-ready',
    ],
    ['a path that is not served yet', status(5, 'Not Found', 404), 'not-ready'],
    ['a proxy without a node behind it', json(502, 'Bad Gateway'), 'not-ready'],
    [
      'a wrong macaroon',
      status(2, 'verification failed: signature mismatch after caveat verification'),
      'unauthorized',
    ],
    ['no macaroon', status(2, 'expected 1 macaroon, got 0'), 'unauthorized'],
    ['a macaroon without the right', status(2, 'permission denied'), 'unauthorized'],
    ['an expired macaroon', status(16, 'macaroon has expired'), 'unauthorized'],
    ['a refusal', status(2, 'memo too large: 2000 bytes (maxsize=1024)'), 'rejected'],
  ];
  for (const [title, answer, code] of cases) {
    test(`${title}: ${code}`, () =>
      withNode(answer, async (node) => {
        await rejectsWith(node.createInvoice(REQUEST), code);
        await rejectsWith(node.lookupInvoice(HASH), code);
      }));
  }

  test('another network than configured is said', async () => {
    const info = {
      identity_pubkey: `02${'ab'.repeat(32)}`,
      alias: 'alice',
      block_height: 800_000,
      synced_to_chain: false,
      chains: [{ chain: 'bitcoin', network: 'mainnet' }],
    };
    await withNode(json(200, info), async (node) => {
      await rejectsWith(node.info(), 'wrong-network');
    });
    await withNode(
      json(200, info),
      async (node) => {
        assert.partialDeepStrictEqual(await node.info(), { network: 'mainnet', synced: false });
      },
      { network: 'mainnet' },
    );
  });

  test('states of an invoice: accepted is open, cancelled is expired once its time is over', async () => {
    const state = (fields: object) =>
      json(200, { creation_date: `${NOW_SEC - 100}`, expiry: '600', ...fields });
    const expect = (answer: Answer, kind: string) =>
      withNode(answer, async (node) => assert.equal((await node.lookupInvoice(HASH))?.kind, kind));
    await expect(state({ state: 'OPEN' }), 'open');
    await expect(state({ state: 'ACCEPTED' }), 'open');
    await expect(state({ state: 'CANCELED' }), 'cancelled');
    await expect(state({ state: 'CANCELED', expiry: '100' }), 'expired');
  });

  test('what is no payment hash never becomes part of a URL', async () => {
    await withNode(json(200, {}), async (node, seen) => {
      await rejectsWith(node.lookupInvoice('../getinfo'), 'rejected');
      await rejectsWith(node.lookupPayment('A'.repeat(64)), 'rejected');
      assert.equal(seen.length, 0);
    });
  });

  test('over the bound on requests under way: busy', async () => {
    const held: ServerResponse[] = [];
    const arrived = Promise.withResolvers<void>();
    const hold: Answer = (_request, response) => {
      held.push(response);
      if (held.length === 2) arrived.resolve();
    };
    await withNode(
      hold,
      async (node) => {
        const calls = [node.createInvoice(REQUEST), node.createInvoice(REQUEST)];
        await arrived.promise;
        await rejectsWith(node.createInvoice(REQUEST), 'busy');
        for (const response of held) response.end(JSON.stringify(addInvoiceAnswer({})));
        assert.equal((await Promise.all(calls)).length, 2);
      },
      { concurrency: 2 },
    );
  });

  test('a caller that gives up frees its place', async () => {
    await withNode(
      () => {},
      async (node) => {
        for (let round = 0; round < 3; round += 1) {
          const giveUp = new AbortController();
          const call = node.createInvoice(REQUEST, { signal: giveUp.signal });
          giveUp.abort();
          await rejectsWith(call, 'timeout');
        }
      },
      { concurrency: 1 },
    );
  });
});
