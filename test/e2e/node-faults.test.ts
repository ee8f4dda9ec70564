import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { msat } from '../../node/msat.ts';
import { type LightningNode, type NodeCallOptions, NodeError } from '../../node/node.ts';
import { createSimnet, DEFAULT_WALLET } from '../../node/simnet/simnet.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { ask, type WholeResponse } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { eventually, openScene } from './scene.ts';

/* A node that fails costs new buyers a 503. Nothing of what it said is shown, and who has paid is served. */

/** What of the node is replaced while a fault is on. */
type Fault = Partial<Pick<LightningNode, 'createInvoice' | 'info'>>;

interface Shop {
  readonly gateway: TestGateway;
  /** The node as it works. */
  readonly node: LightningNode;
  /** Invoices of somebody else on the same network. */
  readonly stranger: LightningNode;
  readonly log: readonly string[];
  breakNode(fault: Fault): void;
}

async function openShop(t: TestContext, challenge = {}): Promise<Shop> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms });
  scene.keep({ close: async () => simnet.close() });
  const log: string[] = [];
  let fault: Fault = {};
  let node: LightningNode | undefined;
  const gateway = await scene.gateway([{ price: '50 sat for 5 calls', upstream: upstream.origin }], {
    clock,
    simnet,
    log: createLog({ level: 'info', format: 'json', destination: { write: (line) => log.push(line) } }),
    config: { challenge: { ...testConfig([]).challenge, nodeTimeoutMs: 100, ...challenge } },
    wrapNode: (real) => {
      node = real;
      return {
        ...real,
        info: (options) => (fault.info ?? real.info)(options),
        createInvoice: (request, options) => (fault.createInvoice ?? real.createInvoice)(request, options),
      };
    },
  });
  assert.ok(node);
  const stranger = createSimulatedNode(simnet, DEFAULT_WALLET);
  return { gateway, node, stranger, log, breakNode: (next) => (fault = next) };
}

function refusesToSell(answer: WholeResponse): void {
  assert.equal(answer.status, 503, answer.body.toString());
  assert.match(String(answer.headers['retry-after']), /^\d+$/);
  assert.equal(answer.headers['www-authenticate'], undefined);
  assert.match(answer.body.toString(), /"code":"node-unavailable"/);
  assert.doesNotMatch(answer.body.toString(), /lnbc|macaroon"/);
}

/** Rejects as an adapter does when its bound is over. */
function hang(options: NodeCallOptions | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const late = () => reject(new NodeError('timeout', 'the node did not answer'));
    if (options?.signal?.aborted) late();
    options?.signal?.addEventListener('abort', late);
  });
}

const FAULTS: Readonly<Record<string, (shop: Shop) => Fault>> = {
  'is down': () => ({
    createInvoice: () => Promise.reject(new NodeError('unreachable', 'nobody answers')),
  }),
  'does not answer': () => ({ createInvoice: (_request, options) => hang(options) }),
  'does not say who it is': () => ({ info: hang }),
  'breaks its own contract': () => ({ createInvoice: () => Promise.reject(new TypeError('a bug')) }),
  'returns no invoice at all': ({ node }) => ({
    createInvoice: async (request) => ({ ...(await node.createInvoice(request)), bolt11: 'lnbcrt1garbage' }),
  }),
  'names another hash than its invoice': ({ node }) => ({
    createInvoice: async (request) => ({
      ...(await node.createInvoice(request)),
      paymentHash: 'ab'.repeat(32),
    }),
  }),
  'asks another amount': ({ node }) => ({
    createInvoice: async (request) => ({
      ...(await node.createInvoice({ ...request, amountMsat: msat(request.amountMsat + 1) })),
      amountMsat: request.amountMsat,
    }),
  }),
  'asks no amount': ({ node }) => ({
    createInvoice: async (request) => ({
      ...(await node.createInvoice({ ...request, amountMsat: msat(0) })),
      amountMsat: request.amountMsat,
    }),
  }),
  'describes something else than what is sold': ({ node }) => ({
    createInvoice: (request) => node.createInvoice({ ...request, memo: 'Another shop: quote' }),
  }),
  'leaves out the mark that invoices of this gateway carry': ({ node }) => ({
    createInvoice: (request) =>
      node.createInvoice({ ...request, memo: request.memo.replace(/ \[sluice:\w+\]$/, '') }),
  }),
  'serves another network': ({ node }) => ({
    info: async () => ({ ...(await node.info()), network: 'signet' }),
  }),
  'returns an invoice of another payee': ({ stranger }) => ({
    createInvoice: (request) => stranger.createInvoice(request),
  }),
  'returns an invoice that has expired': ({ node, gateway }) => ({
    createInvoice: async (request) => {
      const invoice = await node.createInvoice({ ...request, expirySec: 1 });
      gateway.clock.ms += 2_000;
      return invoice;
    },
  }),
  'returns an invoice that lives longer than its token': ({ node }) => ({
    createInvoice: (request) => node.createInvoice({ ...request, expirySec: 40 * 86_400 }),
  }),
};

for (const [what, faultOf] of Object.entries(FAULTS)) {
  test(`a node that ${what}: 503 with Retry-After, nothing shown, and paid calls go on`, async (t) => {
    const shop = await openShop(t, { maxOutstandingPerClient: 2 });
    const { gateway, breakNode, log } = shop;
    const fault = faultOf(shop);
    breakNode(fault);
    // Failed tries give their place back, or the cap on unpaid invoices would close the shop for longer than the fault does.
    for (let n = 0; n < 3; n += 1) refusesToSell(await ask(`${gateway.url}/quote`));
    assert.equal(log.filter((line) => line.includes('no invoice could be made')).length, 3);
    assert.ok(!log.some((line) => /lnbcrt\w{40}/.test(line)));
    breakNode({});
    const credential = await buy(gateway, '/quote');
    breakNode(fault);
    assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  });
}

test('a slow node is asked by no more than nodeConcurrency at once, and a full queue is told to come back', async (t) => {
  const { gateway, node, breakNode } = await openShop(t, { nodeConcurrency: 2, nodeTimeoutMs: 10_000 });
  const gate = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  breakNode({
    createInvoice: async (...args) => {
      running += 1;
      most = Math.max(most, running);
      await gate.promise;
      running -= 1;
      return node.createInvoice(...args);
    },
  });
  const answers = Array.from({ length: 40 }, () => ask(`${gateway.url}/quote`));
  let refused = 0;
  for (const answer of answers) void answer.then(({ status }) => (refused += Number(status === 503)));
  // Two run, sixteen wait for each of them, the other six have no room.
  await eventually(() => refused === 6);
  gate.resolve();
  const all = await Promise.all(answers);
  assert.equal(most, 2);
  assert.equal(all.filter(({ status }) => status === 402).length, 34);
  const busy = all.filter(({ status }) => status === 503);
  for (const { headers, body } of busy) {
    assert.ok(headers['retry-after']);
    assert.match(body.toString(), /"code":"busy"/);
  }
});

test('a gateway starts while its node is down, and sells as soon as it is there', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms });
  scene.keep({ close: async () => simnet.close() });
  simnet.configure({ offline: true });
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }], { simnet, clock });
  refusesToSell(await ask(`${gateway.url}/quote`));
  assert.equal((await ask(`${gateway.adminUrl}/readyz`)).status, 503);
  assert.equal((await ask(`${gateway.adminUrl}/healthz`)).status, 200);
  simnet.configure({ offline: false });
  const credential = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
});
