import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeInvoice } from '../../../node/bolt11.ts';
import { macaroonWarnings, readMacaroonRights, reviewMacaroon } from '../../../node/lnd/macaroon-rights.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import { type Answer, addInvoiceAnswer, invoice, json, status, withNode } from './fake-lnd.ts';

/** `invoice.macaroon` as LND 0.21.1-beta made it, on a regtest node that is no more. */
const INVOICE_MACAROON =
  '0201036c6e640258030a10724311ce00ea70f58a2208e283bf743d1201301a160a0761646472657373120472656164120577726974651a170a08696e' +
  '766f69636573120472656164120577726974651a0f0a076f6e636861696e120472656164000006207ee3c64405c72b02c799f4d98d8a49dc0716da44' +
  '04b6a84f2a82a565e0ddcd00';

const DENIED = status(2, 'permission denied');

/** A node that lets nobody ask `getinfo`. */
function deniesInfo(invoices: readonly object[]): Answer {
  return (request, response, body) => {
    const path = request.url?.split('?')[0];
    const answer =
      path === '/v1/getinfo'
        ? DENIED
        : request.method === 'GET'
          ? json(200, { invoices, first_index_offset: '0', last_index_offset: '0' })
          : json(200, addInvoiceAnswer({}));
    answer(request, response, body);
  };
}

test('a macaroon that may not ask getinfo: the newest invoice tells key and network, and none is made', async () => {
  await withNode(deniesInfo([{ payment_request: invoice({}), is_blinded: false }]), async (node, seen) => {
    const info = await node.info();
    assert.equal(info.publicKey, decodeInvoice(invoice({})).payee);
    assert.deepEqual([info.network, info.synced, info.blockHeight], ['regtest', true, 0]);
    assert.ok(seen.every((line) => line.startsWith('GET ')));
  });
});

test('without an invoice of its own, one is made, once', async () => {
  for (const invoices of [
    [],
    [{ payment_request: '' }],
    [{ payment_request: invoice({}), is_blinded: true }],
  ]) {
    await withNode(deniesInfo(invoices), async (node, seen) => {
      assert.equal((await node.info()).publicKey, decodeInvoice(invoice({})).payee);
      await node.info();
      assert.equal(seen.filter((line) => line.startsWith('POST ')).length, 1);
    });
  }
});

test('the network in an invoice is held against the configured one', async () => {
  const answer = deniesInfo([{ payment_request: invoice({}) }]);
  await withNode(answer, async (node) => rejectsWith(node.info(), 'wrong-network'), { network: 'mainnet' });
});

test('a macaroon that may do nothing stays unauthorized', async () => {
  await withNode(DENIED, async (node) => rejectsWith(node.info(), 'unauthorized'));
});

test('a node that is not ready says in which state it is, and what to do', async () => {
  const states: [string, RegExp][] = [
    ['LOCKED', /lncli unlock/],
    ['NON_EXISTING', /lncli create/],
    ['RPC_ACTIVE', /starting/],
    ['SOMETHING_NEW', /not ready/],
  ];
  for (const [state, expected] of states) {
    const answer: Answer = (request, response, body) => {
      const known = request.url === '/v1/state' ? json(200, { state }) : status(5, 'Not Found', 404);
      known(request, response, body);
    };
    await withNode(answer, async (node) => {
      await assert.rejects(node.info(), expected);
      await rejectsWith(node.info(), 'not-ready');
    });
  }
});

test("the rights of LND's invoice.macaroon are read from it", () => {
  assert.deepEqual(readMacaroonRights(INVOICE_MACAROON), [
    'address:read',
    'address:write',
    'invoices:read',
    'invoices:write',
    'onchain:read',
  ]);
  assert.deepEqual(reviewMacaroon(INVOICE_MACAROON), {
    missing: [],
    blind: ['info:read', 'offchain:read'],
    dangerous: [],
  });
  const [warning, ...others] = macaroonWarnings(INVOICE_MACAROON);
  assert.match(warning ?? '', /lacks info:read, offchain:read.*lncli bakemacaroon/);
  assert.deepEqual(others, []);
});

test('a macaroon that pays is warned about, without being shown', () => {
  const op = (entity: string, action: string) =>
    field(3, Buffer.concat([field(1, entity), field(2, action)]));
  const rights = ['info:read', 'invoices:read', 'invoices:write', 'offchain:read', 'offchain:write'];
  const ops = rights.map((right) => op(right.split(':')[0] ?? '', right.split(':')[1] ?? ''));
  const id = Buffer.concat([Buffer.of(3), field(1, 'nonce'), field(2, '0'), ...ops]);
  const hex = Buffer.concat([Buffer.of(2), Buffer.of(2, ...length(id.length)), id, Buffer.of(0, 0)]).toString(
    'hex',
  );
  assert.deepEqual(reviewMacaroon(hex), { missing: [], blind: [], dangerous: ['offchain:write'] });
  const warnings = macaroonWarnings(hex);
  assert.equal(warnings.length, 1);
  assert.doesNotMatch(warnings.join(), new RegExp(hex.slice(0, 16)));
});

test('what is no LND macaroon has no rights, and is left for LND to judge', () => {
  for (let cut = 0; cut < 80; cut += 1) {
    assert.doesNotThrow(() => readMacaroonRights(INVOICE_MACAROON.slice(0, cut * 2)));
  }
  for (const hex of ['', '00ff', '02', 'ff'.repeat(40), `0202${'ff'.repeat(10)}`]) {
    assert.equal(readMacaroonRights(hex), undefined);
    assert.deepEqual(macaroonWarnings(hex), []);
  }
});

function field(number: number, data: string | Buffer): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([Buffer.of((number << 3) | 2, ...length(bytes.length)), bytes]);
}

function length(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7];
}
