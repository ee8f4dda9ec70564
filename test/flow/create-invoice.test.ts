import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../gateway/errors.ts';
import { createInvoicer, type InvoicerDeps } from '../../gateway/flow/create-invoice.ts';
import { createOutstanding } from '../../gateway/flow/outstanding.ts';
import type { SharedAdmission, SharedClients } from '../../gateway/flow/shared-clients.ts';
import { createThrottle } from '../../gateway/flow/throttle.ts';
import { sats } from '../../node/msat.ts';
import { type LightningNode, NodeError } from '../../node/node.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { testConfig } from '../support/config.ts';

const ORDER = {
  asker: { clientKey: 'a', paidAccountId: undefined },
  amountMsat: sats(10),
  memo: 'Test quote',
  price: 'dynamic',
} as const;

function invoicerOver(
  change: Partial<LightningNode>,
  limits = {},
  others: Pick<InvoicerDeps, 'sharedClients'> = {},
) {
  const nowMs = Date.now;
  const simnet = createSimnet({ nowMs });
  const node = { ...createSimulatedNode(simnet, GATEWAY_WALLET), ...change };
  const failures: Parameters<InvoicerDeps['onFailed']>[0][] = [];
  const invoicer = createInvoicer({
    node,
    nodeInfo: (signal) => node.info({ signal }),
    tagMemo: (memo) => `${memo} [tag]`,
    limits: () => ({ ...testConfig([]).challenge, ...limits }),
    throttle: createThrottle(nowMs),
    outstanding: createOutstanding(() => Math.floor(nowMs() / 1000)),
    nowMs,
    onFailed: (reason) => failures.push(reason),
    ...others,
  });
  return { invoicer, failures };
}

test('who waited behind a node that hangs until its time was over is answered without asking the node', async () => {
  let asked = 0;
  const gate = Promise.withResolvers<never>();
  const { invoicer, failures } = invoicerOver(
    {
      createInvoice: () => {
        asked += 1;
        return gate.promise;
      },
    },
    { nodeConcurrency: 1, nodeTimeoutMs: 20 },
  );
  const orders = Array.from({ length: 8 }, () => invoicer.createInvoice(ORDER));
  const answers = Promise.allSettled(orders);
  assert.equal(invoicer.outstanding(), 8);
  // Timers end in the order of their ends: by then the time of all eight is over.
  await new Promise((resolve) => setTimeout(resolve, 100));
  gate.reject(new NodeError('timeout', 'the node did not answer'));
  for (const answer of await answers) {
    assert.ok(answer.status === 'rejected' && answer.reason instanceof GatewayError);
    assert.equal(answer.reason.code, 'node-unavailable');
  }
  assert.equal(asked, 1);
  assert.deepEqual(new Set(failures), new Set(['timeout']));
  assert.equal(invoicer.outstanding(), 0);
});

test('an invoice holds its place until it is paid', async () => {
  const { invoicer } = invoicerOver({}, { maxOutstandingPerClient: 1 });
  const { paymentHash } = await invoicer.createInvoice(ORDER);
  await assert.rejects(invoicer.createInvoice(ORDER), { code: 'throttled', retryAfterSec: 600 });
  invoicer.paid(paymentHash);
  await invoicer.createInvoice(ORDER);
});

/** All gateways together answer so. */
function together(admission: SharedAdmission): { readonly asked: string[]; readonly clients: SharedClients } {
  const asked: string[] = [];
  const clients: SharedClients = {
    async admit(clientKey) {
      asked.push(clientKey);
      return admission;
    },
  };
  return { asked, clients };
}

test('a client that all gateways together refuse gets no invoice, and its place here is free again', async () => {
  for (const admission of [{ kind: 'wait', retryAfterSec: 7 }, { kind: 'full' }] as const) {
    const { clients } = together(admission);
    const { invoicer, failures } = invoicerOver({}, { shared: true }, { sharedClients: clients });
    await assert.rejects(invoicer.createInvoice(ORDER), { code: 'throttled' });
    assert.deepEqual(failures, [admission.kind === 'wait' ? 'throttled' : 'outstanding']);
    assert.equal(invoicer.outstanding(), 0);
  }
});

test('a place at all gateways is given back once: when the invoice is paid, or when none could be made', async () => {
  let givenBack = 0;
  const place = {
    giveBack: () => {
      givenBack += 1;
    },
  };
  const { clients } = together({ kind: 'admitted', place });
  const { invoicer } = invoicerOver({}, { shared: true }, { sharedClients: clients });
  const { paymentHash } = await invoicer.createInvoice(ORDER);
  assert.equal(givenBack, 0);
  invoicer.paid(paymentHash);
  invoicer.paid(paymentHash);
  assert.equal(givenBack, 1);
  const failing = invoicerOver(
    { createInvoice: () => Promise.reject(new NodeError('unreachable', 'away')) },
    { shared: true },
    { sharedClients: clients },
  );
  await assert.rejects(failing.invoicer.createInvoice(ORDER));
  assert.equal(givenBack, 2);
});

test('while the store is away each gateway judges by itself; who is refused here, or is not counted together, is not asked about', async () => {
  const { asked, clients } = together({ kind: 'away' });
  const limits = { shared: true, burst: 2, perMinute: 1 };
  const { invoicer } = invoicerOver({}, limits, { sharedClients: clients });
  await invoicer.createInvoice(ORDER);
  await invoicer.createInvoice(ORDER);
  await assert.rejects(invoicer.createInvoice(ORDER), { code: 'throttled' });
  assert.equal(asked.length, 2);
  const alone = invoicerOver({}, { shared: false }, { sharedClients: clients });
  await alone.invoicer.createInvoice(ORDER);
  assert.equal(asked.length, 2);
});
