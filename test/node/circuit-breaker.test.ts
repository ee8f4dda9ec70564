import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createBackoff } from '../../node/backoff.ts';
import { type CircuitChange, createCircuitBreaker } from '../../node/circuit-breaker.ts';
import { createLndNode, type LndOptions } from '../../node/lnd.ts';
import { NodeError } from '../../node/node.ts';
import { rejectsWith } from '../contract/node.contract.ts';
import { addInvoiceAnswer, HASH, invoice, MACAROON, NOW_SEC, PAY, REQUEST } from './lnd/fake-lnd.ts';

const DOWN = new NodeError('unreachable', 'nobody answers');

/** The random number 1/2 makes each pause three quarters of its span. */
function rig(failures = 3) {
  const changes: string[] = [];
  let nowMs = 0;
  const breaker = createCircuitBreaker({
    failures,
    backoff: createBackoff({ firstMs: 1_000, maxMs: 4_000, random: () => 0.5 }),
    nowMs: () => nowMs,
    onChange: ({ kind }) => changes.push(kind),
  });
  return {
    breaker,
    changes,
    advance: (ms: number) => {
      nowMs += ms;
    },
    fail: (times: number) => {
      for (let count = 0; count < times; count += 1) breaker.enter().failed(DOWN);
    },
    isOpen: () => {
      try {
        breaker.enter().released();
        return false;
      } catch (error) {
        assert.ok(error instanceof NodeError && error.code === 'unreachable');
        return true;
      }
    },
  };
}

describe('the breaker', () => {
  test('opens after failures in a row; an answer between them begins the count anew', () => {
    const { breaker, changes, fail, isOpen } = rig();
    fail(2);
    breaker.enter().answered();
    fail(2);
    assert.equal(isOpen(), false);
    fail(1);
    assert.equal(isOpen(), true);
    assert.deepEqual(changes, ['opened']);
  });

  test('refuses what only needs the node for as long as it is open, also when it is time to try again', () => {
    const { breaker, advance, fail } = rig();
    breaker.refuseWhileOpen();
    fail(3);
    assert.throws(() => breaker.refuseWhileOpen(), { code: 'unreachable', message: /nobody answers/ });
    advance(60_000);
    assert.throws(() => breaker.refuseWhileOpen(), { code: 'unreachable' });
    breaker.enter().answered();
    breaker.refuseWhileOpen();
  });

  test('what ended without telling anything does not count', () => {
    const { breaker, fail, isOpen } = rig();
    fail(2);
    breaker.enter().released();
    assert.equal(isOpen(), false);
    fail(1);
    assert.equal(isOpen(), true);
  });

  test('after the pause one tries, the others wait; its failure doubles the pause, to a bound', () => {
    const { breaker, advance, fail, isOpen } = rig();
    fail(3);
    for (const pauseMs of [750, 1_500, 3_000, 3_000]) {
      advance(pauseMs - 1);
      assert.equal(isOpen(), true);
      advance(1);
      const probe = breaker.enter();
      assert.equal(isOpen(), true, 'one at a time');
      probe.failed(DOWN);
    }
  });

  test('an answer to the one that tries closes it, and the next outage begins with the first pause', () => {
    const { breaker, changes, advance, fail, isOpen } = rig();
    fail(3);
    advance(750);
    breaker.enter().failed(DOWN);
    advance(1_500);
    breaker.enter().answered();
    assert.equal(isOpen(), false);
    fail(3);
    advance(750);
    breaker.enter().answered();
    assert.deepEqual(changes, ['opened', 'closed', 'opened', 'closed']);
  });

  test('one that tried and learnt nothing leaves it to the next', () => {
    const { breaker, advance, fail, isOpen } = rig();
    fail(3);
    advance(750);
    breaker.enter().released();
    assert.equal(isOpen(), false);
  });

  test('stragglers of the outage prolong nothing, and a late answer closes it', () => {
    const { breaker, advance, fail, isOpen } = rig();
    const [straggler, late] = [breaker.enter(), breaker.enter()];
    fail(3);
    advance(749);
    straggler.failed(DOWN);
    advance(1);
    assert.equal(isOpen(), false);
    fail(1);
    late.answered();
    assert.equal(isOpen(), false);
  });

  test('what is only observed is never refused, and counts', () => {
    const { breaker, isOpen } = rig();
    for (let count = 0; count < 3; count += 1) breaker.observe().failed(DOWN);
    assert.equal(isOpen(), true);
    breaker.observe().answered();
    assert.equal(isOpen(), false);
  });
});

/** A node on a real socket that cuts, hangs, refuses or serves. */
async function withWayward(work: (tools: Wayward) => Promise<void>, options: Partial<LndOptions> = {}) {
  let mode: Mode = 'serve';
  let requests = 0;
  const hung: ServerResponse[] = [];
  let arrived = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    requests += 1;
    arrived.resolve();
    if (mode === 'cut') request.socket.resetAndDestroy();
    else if (mode === 'hang') hung.push(response);
    else if (mode === 'refuse') response.writeHead(500).end('{"code":2,"message":"memo too large"}');
    else response.end(JSON.stringify(addInvoiceAnswer({})));
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const changes: CircuitChange[] = [];
  let monotonicMs = 0;
  const node = createLndNode({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    macaroon: MACAROON,
    nowMs: () => NOW_SEC * 1000,
    monotonicMs: () => monotonicMs,
    random: () => 0,
    onCircuit: (change) => changes.push(change),
    ...options,
  });
  try {
    await work({
      node,
      changes,
      requests: () => requests,
      set: (next) => {
        mode = next;
      },
      advance: (ms) => {
        monotonicMs += ms;
      },
      nextRequest: () => {
        arrived = Promise.withResolvers<void>();
        return arrived.promise;
      },
      answerHung: () => {
        for (const response of hung.splice(0)) response.end(JSON.stringify(addInvoiceAnswer({})));
      },
    });
  } finally {
    await node.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

type Mode = 'serve' | 'cut' | 'hang' | 'refuse';

interface Wayward {
  readonly node: ReturnType<typeof createLndNode>;
  readonly changes: CircuitChange[];
  requests(): number;
  set(mode: Mode): void;
  advance(ms: number): void;
  nextRequest(): Promise<void>;
  answerHung(): void;
}

describe('an LND that does not answer', () => {
  test('is left alone after five failures, tried by one request, and asked again when that was answered', async () => {
    await withWayward(async ({ node, changes, requests, set, advance, nextRequest, answerHung }) => {
      set('cut');
      for (let count = 0; count < 5; count += 1)
        await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
      const asked = requests();
      await assert.rejects(node.createInvoice(REQUEST), {
        code: 'unreachable',
        message: /not asked at the moment, after 5 failures.*can't be reached/,
      });
      await rejectsWith(node.lookupInvoice(HASH), 'unreachable');
      assert.equal(requests(), asked, 'nothing was sent');
      assert.deepEqual(
        changes.map(({ kind }) => kind),
        ['opened'],
      );

      set('hang');
      advance(250);
      const trying = nextRequest();
      const probe = node.createInvoice(REQUEST);
      await trying;
      await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
      assert.equal(requests(), asked + 1);
      answerHung();
      await probe;
      set('serve');
      await Promise.all(Array.from({ length: 10 }, () => node.createInvoice(REQUEST)));
      assert.deepEqual(
        changes.map(({ kind }) => kind),
        ['opened', 'closed'],
      );
    });
  });

  test('silence opens it too, though it is the caller whose patience ends', async () => {
    await withWayward(
      async ({ node, changes, set, advance, nextRequest }) => {
        set('hang');
        for (let count = 0; count < 5; count += 1) {
          const giveUp = new AbortController();
          const sent = nextRequest();
          const call = node.createInvoice(REQUEST, { signal: giveUp.signal });
          await sent;
          advance(30_000);
          giveUp.abort();
          await rejectsWith(call, 'timeout');
        }
        assert.deepEqual(
          changes.map(({ kind }) => kind),
          ['opened'],
        );
      },
      { timeoutMs: 60_000 },
    );
  });

  test('callers that give up early say nothing about it, and neither does what it refuses', async () => {
    await withWayward(async ({ node, changes, set, nextRequest }) => {
      set('hang');
      for (let count = 0; count < 10; count += 1) {
        const giveUp = new AbortController();
        const sent = nextRequest();
        const call = node.createInvoice(REQUEST, { signal: giveUp.signal });
        await sent;
        giveUp.abort();
        await rejectsWith(call, 'timeout');
      }
      set('refuse');
      for (let count = 0; count < 10; count += 1) await rejectsWith(node.createInvoice(REQUEST), 'rejected');
      assert.deepEqual(changes, []);
    });
  });

  test('a payment is tried, and looked up, whatever happened before', async () => {
    await withWayward(async ({ node, requests, set }) => {
      set('cut');
      for (let count = 0; count < 5; count += 1)
        await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
      const asked = requests();
      await rejectsWith(node.payInvoice(invoice({}), PAY), 'unreachable');
      assert.ok(requests() >= asked + 2, 'sent, and looked up when its outcome was in doubt');
      const sent = requests();
      await rejectsWith(node.lookupPayment(HASH), 'unreachable');
      assert.ok(requests() > sent);
    });
  });
});
