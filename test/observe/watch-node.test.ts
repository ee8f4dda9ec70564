import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { watchNode } from '../../gateway/watch-node.ts';
import { sats, ZERO_MSAT } from '../../node/msat.ts';
import { type LightningNode, NodeError } from '../../node/node.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { testConfig, testService } from '../support/config.ts';

function setup() {
  const clock = { ms: 1_800_000_000_000 };
  const nowMs = () => clock.ms;
  const real = createSimulatedNode(createSimnet({ nowMs }), GATEWAY_WALLET);
  const state: { node: Partial<LightningNode> } = { node: {} };
  const node = new Proxy(real, {
    get: (target, name) => Reflect.get({ ...target, ...state.node }, name),
  });
  let downs = 0;
  const watch = watchNode({
    node,
    store: { ping: async () => {} },
    clockAheadSec: () => 0,
    config: () => testConfig([testService({ price: '10 sat', path: '/*', upstream: 'http://127.0.0.1:1' })]),
    log: createLog({ level: 'silent', format: 'json' }),
    metrics: createMetrics({ version: '1' }),
    nowMs,
    onNodeDown: () => {
      downs += 1;
    },
  });
  return { watch, real, clock, state, downs: () => downs, refusal: () => watch.refusal(sats(10))?.code };
}

const fails = (code: NodeError['code']) => () => Promise.reject(new NodeError(code, `the node is ${code}`));

test('down, starting, on another network, without the right: health tells them apart, each once', async () => {
  const { watch, state, downs } = setup();
  await watch.check();
  assert.equal(watch.health.part('node').state, 'up');
  const cases = [
    ['unreachable', 'no-answer'],
    ['not-ready', 'not-ready'],
    ['wrong-network', 'wrong-network'],
    ['unauthorized', 'unauthorized'],
  ] as const;
  for (const [code, health] of cases) {
    state.node = { info: fails(code), receivable: fails(code) };
    await watch.check();
    await watch.check();
    assert.deepEqual([watch.health.part('node').state, watch.health.part('node').code], ['down', health]);
    assert.equal(watch.health.ready().status, 503);
    assert.equal(watch.health.ready(['node']).status, 200);
  }
  assert.equal(downs(), cases.length);
});

test('a node behind its chain sells on for ten seconds, then is not ready', async () => {
  const { watch, real, clock, state, refusal } = setup();
  state.node = { info: async () => ({ ...(await real.info()), synced: false }) };
  await watch.check();
  assert.equal(watch.health.part('node').code, 'not-synced');
  assert.equal(refusal(), undefined);
  clock.ms += 10_000;
  await watch.check();
  assert.equal(refusal(), 'node-not-ready');
  state.node = {};
  await watch.check();
  assert.equal(refusal(), undefined);
});

test('a node that can receive nothing: not ready, and nothing is sold; it is not down', async () => {
  const { watch, real, state, downs, refusal } = setup();
  state.node = {
    receivable: async () => {
      const seen = await real.receivable?.();
      assert.ok(seen);
      return { ...seen, largestReceivableMsat: ZERO_MSAT };
    },
  };
  await watch.check();
  assert.deepEqual([watch.health.ready().status, watch.health.part('node').code], [503, 'no-inbound']);
  assert.deepEqual([refusal(), downs()], ['no-inbound', 0]);
  state.node = {};
  await watch.check();
  assert.deepEqual([watch.health.ready().status, refusal()], [200, undefined]);
});

test('a node that can not tell what it receives refuses nothing', async () => {
  const { watch, state, refusal } = setup();
  state.node = { receivable: fails('unauthorized') };
  await watch.check();
  assert.deepEqual([watch.health.ready().status, refusal()], [200, undefined]);
});
