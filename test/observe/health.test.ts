import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth, type HealthOptions } from '../../gateway/observe/health.ts';
import { NodeError, type NodeInfo } from '../../node/node.ts';

const INFO: NodeInfo = {
  alias: 'a',
  publicKey: '02',
  network: 'regtest',
  synced: true,
  blockHeight: 1,
};

function setup(overrides: Partial<HealthOptions> = {}) {
  const state = { storeError: undefined as Error | undefined, synced: true, nowMs: 1_700_000_000_000 };
  const seen: string[] = [];
  const health = createHealth({
    store: {
      ping: async () => {
        if (state.storeError !== undefined) throw state.storeError;
      },
    },
    node: { info: async () => ({ ...INFO, synced: state.synced }) },
    nowMs: () => state.nowMs,
    onChecked: (part, { state: is }, changed) => seen.push(`${part} ${is} ${changed}`),
    ...overrides,
  });
  return { health, state, seen };
}

test('a gateway is alive from the beginning and ready after its first good check', async () => {
  const { health } = setup();
  assert.equal(health.live().status, 200);
  assert.equal(health.ready().status, 503);
  assert.equal(health.ready().body.parts?.['store']?.state, 'unknown');
  await health.check();
  assert.equal(health.ready().status, 200);
  assert.deepEqual(health.ready().body.parts?.['node'], {
    state: 'up',
    checkedAtSec: 1_700_000_000,
    sinceSec: 1_700_000_000,
  });
});

test('a store that fails makes it not ready, with the reason, since then', async () => {
  const { health, state, seen } = setup();
  await health.check();
  state.storeError = new Error('disk is full');
  state.nowMs += 5000;
  await health.check();
  state.nowMs += 5000;
  await health.check();
  const { status, body } = health.ready();
  assert.equal(status, 503);
  assert.equal(body.status, 'not-ready');
  assert.deepEqual(body.parts?.['store'], {
    state: 'down',
    reason: 'disk is full',
    checkedAtSec: 1_700_000_010,
    sinceSec: 1_700_000_005,
  });
  assert.equal(body.parts?.['node']?.state, 'up');
  assert.deepEqual(
    seen.filter((line) => line.startsWith('store')),
    ['store up true', 'store down true', 'store down false'],
  );
});

test('a node that is not synced makes it not ready, unless the asker excludes the node', async () => {
  const { health, state } = setup();
  state.synced = false;
  await health.check();
  assert.equal(health.ready().status, 503);
  assert.match(health.ready().body.parts?.['node']?.reason ?? '', /not synced/);
  assert.equal(health.ready(['node']).status, 200);
  assert.equal(health.ready(['store']).status, 503);
});

test('a part that hangs counts as down after the deadline, and its check is aborted', async () => {
  let aborted = false;
  const { health } = setup({
    deadlineMs: 5,
    node: {
      info: (options) =>
        new Promise(() => {
          options?.signal?.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    },
  });
  await health.check();
  const { code, reason = '' } = health.ready().body.parts?.['node'] ?? {};
  assert.equal(code, 'no-answer');
  assert.match(reason, /^The node did not answer \(5 ms\): look whether it runs, .*`sluice doctor`/);
  assert.equal(aborted, true);
});

test('a node that hangs at one of its addresses: the reason names that one', async () => {
  const message = 'The node at 127.0.0.1:10009 did not answer while its caller waited.';
  const { health } = setup({
    deadlineMs: 5,
    node: {
      info: (options) =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => reject(new NodeError('timeout', message)));
        }),
    },
  });
  await health.check();
  assert.match(
    health.ready().body.parts?.['node']?.reason ?? '',
    /^The node at 127\.0\.0\.1:10009 did not answer while its caller waited \(5 ms\): look whether it runs/,
  );
});

test('a store that hangs has its own words, and is not waited for', async () => {
  const { health } = setup({ deadlineMs: 5, store: { ping: () => new Promise(() => {}) } });
  await health.check();
  const { store, node } = health.ready().body.parts ?? {};
  assert.match(
    store?.reason ?? '',
    /^The store did not answer \(5 ms\): look whether it runs, and .* disk busy/,
  );
  assert.equal(node?.state, 'up');
});

test('checks asked at the same time are one check', async () => {
  let pings = 0;
  const { health } = setup({
    store: {
      ping: async () => {
        pings += 1;
      },
    },
  });
  await Promise.all([health.check(), health.check(), health.check()]);
  assert.equal(pings, 1);
});

test('a part that was not checked lately is not known to be up', async () => {
  const { health, state } = setup({ intervalMs: 1000, deadlineMs: 1000 });
  await health.check();
  state.nowMs += 60_000;
  assert.equal(health.ready().status, 503);
  assert.equal(health.ready().body.parts?.['store']?.state, 'unknown');
});

test('the background check runs every interval until it is stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let pings = 0;
  const { health } = setup({
    intervalMs: 1000,
    store: {
      ping: async () => {
        pings += 1;
      },
    },
  });
  await health.start();
  t.mock.timers.tick(1000);
  await health.check();
  assert.equal(pings, 2);
  health.stop();
  t.mock.timers.tick(5000);
  assert.equal(pings, 2);
});

test('a draining gateway is alive and not ready', async () => {
  const { health } = setup();
  await health.check();
  health.drain();
  assert.equal(health.live().status, 200);
  assert.deepEqual([health.ready().status, health.ready().body.status], [503, 'draining']);
});

test('a reason shows no secret', async () => {
  const { health, state } = setup();
  state.storeError = new Error(`redis://user:hunter2hunter2@host refused ${'ab'.repeat(32)}`);
  await health.check();
  const text = JSON.stringify(health.ready());
  assert.doesNotMatch(text, /hunter2|abababababab/);
});
