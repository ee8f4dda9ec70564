import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { rejectsWith } from '../contract/node.contract.ts';
import { CALL, ECHO, inTurn, MESSAGE, openBench, openClient, openGated } from './grpc/bench.ts';
import { answered, CANCEL, type GrpcReply, plain, refused, sent, silent } from './lnd/fake-grpc.ts';

describe('the bound on calls under way', () => {
  test('refuses one more as busy, and sends nothing of it', async (t) => {
    const { grpc, fake } = await openBench(t, silent, { concurrency: 2 });
    const calls = [grpc.call(CALL), grpc.call(CALL)];
    await rejectsWith(grpc.call(CALL), 'busy');
    await fake.nth(2);
    for (const call of fake.calls) answered(MESSAGE)(call);
    await Promise.all(calls);
    assert.equal(fake.calls.length, 2);
  });

  test('counts no call that has ended, however it did', async (t) => {
    const ways: GrpcReply[] = [
      ECHO,
      refused(2, 'no'),
      plain(502, 'text/html', ''),
      sent(Buffer.alloc(0)),
      ({ stream }) => stream.close(2),
      ({ stream }) => stream.session?.destroy(),
      ECHO,
    ];
    const { grpc, fake } = await openBench(t, inTurn(...ways), { concurrency: 1 });
    for (const _ of ways) await grpc.call(CALL).catch(() => {});
    const giveUp = new AbortController();
    const call = grpc.call({ ...CALL, signal: giveUp.signal });
    await fake.nth(ways.length + 1);
    giveUp.abort();
    await rejectsWith(call, 'timeout');
    await rejectsWith(grpc.call({ ...CALL, signal: AbortSignal.abort() }), 'timeout');
    await fake.close();
    await rejectsWith(grpc.call(CALL), 'unreachable');
    await rejectsWith(grpc.call(CALL), 'unreachable');
  });

  test('is ours: a server that takes fewer at once gets the others later', async (t) => {
    const settings = { settings: { maxConcurrentStreams: 1 } };
    const { grpc, fake } = await openBench(t, inTurn(ECHO, silent), {}, settings);
    await grpc.call(CALL);
    const [first, second] = [grpc.call(CALL), grpc.call(CALL)];
    answered(MESSAGE)(await fake.nth(2));
    await first;
    answered(MESSAGE)(await fake.nth(3));
    await second;
    assert.equal(fake.calls.length, 3);
  });
});

describe('a caller that gives up', () => {
  test('is told timeout, and the server sees a reset', async (t) => {
    const { grpc, fake } = await openBench(t, silent);
    const giveUp = new AbortController();
    const call = grpc.call({ ...CALL, signal: giveUp.signal });
    const seen = await fake.nth(1);
    giveUp.abort();
    await assert.rejects(call, { code: 'timeout', message: /did not answer while its caller waited/ });
    assert.equal(await seen.ended, CANCEL);
  });

  test('before there is a connection has sent nothing, and another call takes the connection', async (t) => {
    const { fake, gate } = await openGated(t);
    const grpc = openClient(t, gate.url);
    const giveUp = new AbortController();
    const given = grpc.call({ ...CALL, signal: giveUp.signal });
    const call = grpc.call({ ...CALL, path: '/second' });
    await gate.arrived;
    giveUp.abort();
    await rejectsWith(given, 'timeout');
    gate.open();
    assert.equal((await call).status?.code, 0);
    assert.deepEqual(
      fake.calls.map(({ path }) => path),
      ['/second'],
    );
    assert.equal(fake.opened(), 1);
  });

  test('before it asked has sent nothing, whether there is a connection or not', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    await rejectsWith(grpc.call({ ...CALL, signal: AbortSignal.abort() }), 'timeout');
    await grpc.call({ ...CALL, path: '/second' });
    await rejectsWith(grpc.call({ ...CALL, signal: AbortSignal.abort() }), 'timeout');
    await grpc.call({ ...CALL, path: '/fourth' });
    assert.deepEqual(
      fake.calls.map(({ path }) => path),
      ['/second', '/fourth'],
    );
  });

  test('after its answer changes nothing, and is not listened to any more', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    const giveUp = new AbortController();
    const { signal } = giveUp;
    await Promise.all([grpc.call({ ...CALL, signal }), grpc.call({ ...CALL, signal })]);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    giveUp.abort();
    await grpc.call(CALL);
    assert.equal(fake.opened(), 1);
  });
});

test('a URL, certificate or key that is none is refused at once', (t) => {
  const wrong = { name: 'NodeError', code: 'unreachable' };
  for (const url of ['http://127.0.0.1:10009', '127.0.0.1:10009', 'grpc://h', '']) {
    assert.throws(() => openClient(t, url), wrong);
  }
  assert.throws(() => openClient(t, 'https://h:1', { tlsCertPem: 'x' }), wrong);
  const readClientCertificate = () => ({ certPem: 'x', keyPem: 'y' });
  assert.throws(() => openClient(t, 'https://h:1', { readClientCertificate }), wrong);
});
