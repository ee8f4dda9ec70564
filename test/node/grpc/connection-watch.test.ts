import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Stream } from 'node:http2';
import { describe, test } from 'node:test';
import { rejectsWith } from '../../contract/node.contract.ts';
import { eventually } from '../../support/eventually.ts';
import { answered, CANCEL, framed, type GrpcReply, HEAD, silent } from '../lnd/fake-grpc.ts';
import { CALL, ECHO, inTurn, MESSAGE, openBench, stopClock, TIMEOUT_MS } from './bench.ts';

describe('silence', () => {
  test('is a timeout, the server sees a reset, and the next call goes over a new connection', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, ECHO));
    await grpc.call(CALL);
    const clock = stopClock(t);
    const call = grpc.call(CALL);
    const seen = await fake.nth(2);
    clock.pass();
    await rejectsWith(call, 'timeout');
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.opened(), 2);
    assert.equal(await seen.ended, CANCEL);
    await eventually(fake.sockets, (open) => open === 1);
  });

  test('in the middle of an answer is a timeout too', async (t) => {
    const half: GrpcReply = ({ stream }) => {
      stream.respond(HEAD);
      stream.write(framed(MESSAGE).subarray(0, 3));
    };
    const { grpc, fake } = await openBench(t, inTurn(ECHO, half));
    await grpc.call(CALL);
    const clock = stopClock(t);
    const call = grpc.call(CALL);
    await fake.nth(2);
    clock.pass();
    await rejectsWith(call, 'timeout');
  });

  test('of one call does not retire a connection that answered another meanwhile', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, ECHO, ECHO));
    await grpc.call(CALL);
    const clock = stopClock(t);
    const slow = grpc.call(CALL);
    await fake.nth(2);
    await grpc.call(CALL);
    clock.pass();
    await rejectsWith(slow, 'timeout');
    await grpc.call(CALL);
    assert.equal(fake.opened(), 1);
  });

  for (const [title, waitedMs, opened] of [
    ['that a caller waits a second for, and no longer, retires the connection as well', 1_000, 2],
    ['that a caller gives up sooner tells nothing about the connection', 999, 1],
  ] as const) {
    test(title, async (t) => {
      let nowMs = 0;
      const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, ECHO), { nowMs: () => nowMs });
      await grpc.call(CALL);
      const giveUp = new AbortController();
      const call = grpc.call({ ...CALL, signal: giveUp.signal });
      await fake.nth(2);
      nowMs += waitedMs;
      giveUp.abort();
      await rejectsWith(call, 'timeout');
      assert.equal((await grpc.call(CALL)).status?.code, 0);
      assert.equal(fake.opened(), opened);
    });
  }

  test('on a retired connection takes no call from it that is still under way', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, silent));
    await grpc.call(CALL);
    const clock = stopClock(t);
    const cut = grpc.call(CALL);
    await fake.nth(2);
    t.mock.timers.tick(TIMEOUT_MS - 1);
    const later = grpc.call(CALL);
    const seen = await fake.nth(3);
    t.mock.timers.tick(1);
    await rejectsWith(cut, 'timeout');
    answered(MESSAGE)(seen);
    assert.equal((await later).status?.code, 0);
    clock.pass();
  });
});

test('a connection that has no numbers left for calls is replaced', async (t) => {
  const { grpc, fake } = await openBench(t, ECHO);
  const spend = (message: unknown) => {
    const { session } = (message as { readonly stream: ClientHttp2Stream }).stream;
    // Not documented; the other way there is a thousand million calls.
    assert.ok(session !== undefined && 'setNextStreamID' in session);
    assert.ok(typeof session.setNextStreamID === 'function');
    session.setNextStreamID(2 ** 31 - 1);
  };
  subscribe('http2.client.stream.created', spend);
  await grpc.call(CALL).finally(() => unsubscribe('http2.client.stream.created', spend));
  await grpc.call(CALL);
  await rejectsWith(grpc.call(CALL), 'unreachable');
  assert.equal((await grpc.call(CALL)).status?.code, 0);
  assert.equal(fake.opened(), 2);
});
