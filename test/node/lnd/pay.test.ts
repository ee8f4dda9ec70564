import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { msat } from '../../../node/msat.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import {
  type Answer,
  invoice,
  json,
  lines,
  PAID_HASH,
  PAY,
  PREIMAGE,
  payment,
  status,
  withNode,
} from './fake-lnd.ts';

describe('paying', () => {
  test('LND is asked for the invoice, with fee limit and time, and for nothing it does not know', async () => {
    let asked = '';
    const bolt11 = invoice({ paymentHash: PAID_HASH });
    const answer: Answer = (request, response, body) => {
      asked = body;
      lines({ result: payment({ status: 'IN_FLIGHT' }) }, { result: payment({}) })(request, response, body);
    };
    await withNode(answer, async (node) => {
      const paid = await node.payInvoice(bolt11, { maxFeeMsat: msat(1_234), timeoutMs: 1_500 });
      assert.deepEqual(paid, { kind: 'succeeded', preimage: PREIMAGE, amountMsat: 10_000, feeMsat: 3 });
    });
    assert.deepEqual(JSON.parse(asked), {
      payment_request: bolt11,
      fee_limit_msat: '1234',
      timeout_seconds: 2,
      no_inflight_updates: true,
    });
  });

  test('a connection that breaks while paying leads to a look-up, never to a second payment', async () => {
    await withNode(
      (request, response, body) => {
        if (request.method === 'POST') request.socket.destroy();
        else lines({ result: payment({ status: 'IN_FLIGHT' }) })(request, response, body);
      },
      async (node, seen) => {
        const state = await node.payInvoice(invoice({ paymentHash: PAID_HASH }), PAY);
        assert.deepEqual(state, { kind: 'in-flight' });
        assert.equal(seen.filter((line) => line.startsWith('POST')).length, 1);
      },
    );
  });

  test('already paid by this node: the payment that was made is the answer', async () => {
    await withNode(
      (request, response, body) => {
        if (request.method !== 'POST') lines({ result: payment({}) })(request, response, body);
        else
          json(409, { error: { code: 6, message: 'invoice is already paid', details: [] } })(
            request,
            response,
            body,
          );
      },
      async (node, seen) => {
        const state = await node.payInvoice(invoice({ paymentHash: PAID_HASH }), PAY);
        assert.ok(state.kind === 'succeeded' && state.preimage === PREIMAGE);
        const tracked = `GET /v2/router/track/${Buffer.from(PAID_HASH, 'hex').toString('base64url')}=`;
        assert.ok(seen[1]?.startsWith(tracked));
      },
    );
  });

  test('a locked node or a bad macaroon is an error, not a failed payment', async () => {
    const bolt11 = invoice({});
    await withNode(status(2, 'wallet locked, unlock it to enable full RPC access'), (node) =>
      rejectsWith(node.payInvoice(bolt11, PAY), 'not-ready'),
    );
    await withNode(status(2, 'permission denied'), (node) =>
      rejectsWith(node.payInvoice(bolt11, PAY), 'unauthorized'),
    );
  });
});
