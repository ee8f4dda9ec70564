import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { rejectsWith } from '../../contract/node.contract.ts';
import { eventually } from '../../support/eventually.ts';
import { answered, CANCEL, type GrpcReply, HEAD, silent } from '../lnd/fake-grpc.ts';
import {
  CALL,
  ECHO,
  frame,
  inTurn,
  MESSAGE,
  openBench,
  openClient,
  openRaw,
  SECRET,
  stopClock,
} from './bench.ts';

const REFUSED_STREAM = 7;
const ENHANCE_YOUR_CALM = 11;
const refuse: GrpcReply = ({ stream }) => stream.close(REFUSED_STREAM);

/** Ends the connection of a call, having looked at the calls up to this number. */
function goAway(lastStreamId: number, code = 0): GrpcReply {
  return ({ stream }) => stream.session?.goaway(code, lastStreamId);
}

/** GOAWAY: nothing on this connection was looked at. */
function turnAway(socket: TLSSocket): void {
  socket.write(frame(7, 0, 0, Buffer.alloc(8)));
}

describe('a call that the server refused without a look at it', () => {
  test('is sent once more, the same, and takes one place', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(refuse, silent), { concurrency: 1 });
    const call = grpc.call(CALL);
    const second = await fake.nth(2);
    await rejectsWith(grpc.call(CALL), 'busy');
    ECHO(second);
    assert.deepEqual(Buffer.from((await call).message ?? []), MESSAGE);
    for (const { path, message, headers } of fake.calls) {
      assert.deepEqual([path, message, headers['macaroon']], [CALL.path, MESSAGE, SECRET]);
    }
    assert.deepEqual([fake.calls.length, fake.opened()], [2, 1]);
  });

  test('is sent no third time', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(refuse, refuse, refuse, ECHO));
    await rejectsWith(grpc.call(CALL), 'unreachable');
    assert.equal(fake.calls.length, 2);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.calls.length, 4);
  });

  test('because it takes fewer at once gets its turn', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO, {}, { settings: { maxConcurrentStreams: 1 } });
    const calls = Array.from({ length: 8 }, () => grpc.call(CALL));
    for (const { status } of await Promise.all(calls)) assert.equal(status?.code, 0);
    assert.deepEqual([fake.calls.length, fake.opened()], [8, 1]);
  });

  test('because it shut down while the call waited for its turn goes over a new connection', async (t) => {
    const settings = { settings: { maxConcurrentStreams: 1 } };
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, ECHO), {}, settings);
    await grpc.call(CALL);
    const calls = [grpc.call(CALL), grpc.call(CALL)];
    const first = await fake.nth(2);
    fake.goAway();
    await eventually(fake.left, (left) => left === 1);
    ECHO(first);
    for (const { status } of await Promise.all(calls)) assert.equal(status?.code, 0);
    assert.deepEqual([fake.calls.length, fake.opened()], [3, 2]);
  });

  for (const [how, code] of [
    ['and shut down', 0],
    ['and broke off', ENHANCE_YOUR_CALM],
  ] as const) {
    test(`${how}, goes over a new connection`, async (t) => {
      const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, goAway(1, code), ECHO, ECHO));
      await grpc.call(CALL);
      const calls = [grpc.call(CALL), grpc.call(CALL)];
      for (const { status } of await Promise.all(calls)) assert.equal(status?.code, 0);
      assert.deepEqual([fake.calls.length, fake.opened()], [5, 2]);
    });
  }

  test('keeps its deadline', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, silent));
    await grpc.call(CALL);
    const clock = stopClock(t);
    const call = grpc.call(CALL);
    refuse(await fake.nth(2));
    const second = await fake.nth(3);
    clock.pass();
    await rejectsWith(call, 'timeout');
    assert.equal(await second.ended, CANCEL);
  });

  test('and whose caller gives up meanwhile, is reset and sent no more', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(refuse, silent, ECHO));
    const giveUp = new AbortController();
    const call = grpc.call({ ...CALL, signal: giveUp.signal });
    const second = await fake.nth(2);
    giveUp.abort();
    await rejectsWith(call, 'timeout');
    assert.equal(await second.ended, CANCEL);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.calls.length, 3);
  });
});

describe('a call that the server may have looked at', () => {
  test('ends well on a connection that shuts down; only what came after it is sent again', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, goAway(3), ECHO));
    await grpc.call(CALL);
    const [before, later] = [grpc.call(CALL), grpc.call(CALL)];
    assert.equal((await later).status?.code, 0);
    answered(MESSAGE)(await fake.nth(2));
    assert.equal((await before).status?.code, 0);
    assert.deepEqual([fake.calls.length, fake.opened()], [4, 2]);
  });

  test('is not sent again when the connection breaks off', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent, goAway(3, ENHANCE_YOUR_CALM), ECHO));
    await grpc.call(CALL);
    const [before, later] = [grpc.call(CALL), grpc.call(CALL)];
    await rejectsWith(before, 'unreachable');
    assert.equal((await later).status?.code, 0);
    assert.equal(fake.calls.length, 4);
  });

  const endings: [string, GrpcReply][] = [
    ['reset by an error', ({ stream }) => stream.close(2)],
    ['cancelled', ({ stream }) => stream.close(CANCEL)],
    ['cut with its connection', ({ stream }) => stream.session?.destroy()],
    [
      'refused after the head of its answer',
      ({ stream }) => {
        stream.respond(HEAD);
        stream.write('x', () => stream.close(REFUSED_STREAM));
      },
    ],
  ];
  for (const [how, reply] of endings) {
    test(`is not sent again: ${how}`, async (t) => {
      const { grpc, fake } = await openBench(t, inTurn(reply, ECHO));
      await rejectsWith(grpc.call(CALL), 'unreachable');
      assert.equal(fake.calls.length, 1);
    });
  }
});

test('a server that turns every connection away costs a call two of them, and no more', async (t) => {
  let turnedAway = 0;
  const raw = await openRaw(t, (socket) => {
    turnedAway += 1;
    turnAway(socket);
  });
  const grpc = openClient(t, raw.url);
  await rejectsWith(grpc.call(CALL), 'unreachable');
  assert.equal(turnedAway, 2);
  await rejectsWith(grpc.call(CALL), 'unreachable');
  assert.equal(turnedAway, 4);
});
