import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  type ConnectionShare,
  createConnectionShare,
  type Taker,
} from '../../gateway/cluster/share-connections.ts';
import { eventually } from '../e2e/scene.ts';

interface Given {
  readonly connection: number;
  readonly listener: number;
  readonly socket: Socket;
}

/** Somebody who is given connections, and says nothing by itself. */
function openTaker(): Taker & { readonly given: Given[] } {
  const given: Given[] = [];
  return { given, give: (connection, listener, socket) => void given.push({ connection, listener, socket }) };
}

async function openShare(t: TestContext, hosts: readonly string[] = ['127.0.0.1'], nowMs = () => 0) {
  const share = createConnectionShare(nowMs);
  const addresses = await share.listen(hosts.map((host) => ({ host, port: 0 })));
  const clients: Socket[] = [];
  t.after(() => {
    share.close();
    for (const client of clients) client.destroy();
  });
  const connect = async (at = 0): Promise<Socket> => {
    const { address = '', port = 0 } = addresses[at] ?? {};
    const client = net.connect(port, address).on('error', () => {});
    clients.push(client);
    await once(client, 'connect');
    return client;
  };
  return { share, addresses, connect };
}

/** Waits until somebody was given so many. */
function untilGiven(
  count: number,
  ...takers: readonly { readonly given: readonly Given[] }[]
): Promise<void> {
  return eventually(() => takers.reduce((sum, { given }) => sum + given.length, 0) === count);
}

function join(share: ConnectionShare, count: number) {
  const takers = Array.from({ length: count }, openTaker);
  for (const taker of takers) share.join(taker);
  return takers;
}

test('connections go round, each with the listener that it came in at', async (t) => {
  const { share, connect } = await openShare(t, ['127.0.0.1', '127.0.0.1']);
  const [one, two] = join(share, 2);
  assert.ok(one && two);
  for (const at of [0, 0, 0, 1, 1, 1]) {
    await connect(at);
    await eventually(() => one.given.length + two.given.length > 0);
  }
  await untilGiven(6, one, two);
  assert.equal(one.given.length, 3);
  assert.equal(two.given.length, 3);
  const listeners = [...one.given, ...two.given].map(({ listener }) => listener);
  assert.deepEqual(listeners.sort(), [0, 0, 0, 1, 1, 1]);
});

test('the end here is closed when a connection was taken, and not before', async (t) => {
  const { share, connect } = await openShare(t);
  const [taker] = join(share, 1);
  assert.ok(taker);
  await connect();
  await connect();
  await untilGiven(2, taker);
  share.took(taker, taker.given[0]?.connection ?? 0);
  assert.deepEqual(
    taker.given.map(({ socket }) => socket.destroyed),
    [true, false],
  );
});

test('what one that is gone had not taken goes to another, and waits when there is none', async (t) => {
  const { share, connect } = await openShare(t);
  const [first] = join(share, 1);
  assert.ok(first);
  await connect();
  await connect();
  await untilGiven(2, first);
  share.took(first, first.given[0]?.connection ?? 0);
  share.lost(first);
  const early = await connect();
  const [second] = join(share, 1);
  assert.ok(second);
  await untilGiven(2, second);
  assert.ok(second.given.every(({ socket }) => !socket.destroyed));
  assert.equal(second.given[0]?.socket, first.given[1]?.socket);
  assert.equal(early.destroyed, false);
});

test('what never reached a worker is closed when the next one has: the others are not mistaken for it', async (t) => {
  const { share, connect } = await openShare(t);
  const [taker] = join(share, 1);
  assert.ok(taker);
  const lost = await connect();
  await untilGiven(1, taker);
  await connect();
  await connect();
  await untilGiven(3, taker);
  assert.equal(share.unserved(), 3);
  const closed = once(lost.resume(), 'close');
  share.took(taker, taker.given[1]?.connection ?? 0);
  await closed;
  assert.deepEqual(
    taker.given.map(({ socket }) => socket.destroyed),
    [true, true, false],
  );
  assert.equal(share.unserved(), 1);
});

test('one that hangs keeps no client waiting for ever', async (t) => {
  let nowMs = 0;
  const { share, connect } = await openShare(t, ['127.0.0.1'], () => nowMs);
  const [taker] = join(share, 1);
  assert.ok(taker);
  await connect();
  await untilGiven(1, taker);
  nowMs = 10_000;
  await connect();
  await untilGiven(2, taker);
  assert.deepEqual(
    taker.given.map(({ socket }) => socket.destroyed),
    [true, false],
  );
});

test('one that is slow to take is left out while another is quick, and has its turns again when it took', async (t) => {
  let nowMs = 0;
  const { share, connect } = await openShare(t, ['127.0.0.1'], () => nowMs);
  const [slow, quick] = join(share, 2);
  assert.ok(slow && quick);
  await connect();
  await untilGiven(1, slow);
  nowMs = 1_000;
  for (let n = 1; n <= 5; n += 1) {
    await connect();
    await untilGiven(n, quick);
    share.took(quick, quick.given.at(-1)?.connection ?? 0);
  }
  assert.equal(slow.given.length, 1);
  assert.equal(slow.given[0]?.socket.destroyed, false);
  share.took(slow, slow.given[0]?.connection ?? 0);
  await connect();
  await untilGiven(2, slow);
});

test('when all are slow they go on in turn: nobody waits for one that may never come back', async (t) => {
  let nowMs = 0;
  const { share, connect } = await openShare(t, ['127.0.0.1'], () => nowMs);
  const takers = join(share, 2);
  for (let n = 1; n <= 6; n += 1) {
    await connect();
    await untilGiven(n, ...takers);
    nowMs += 1_000;
  }
  assert.deepEqual(
    takers.map(({ given }) => given.length),
    [3, 3],
  );
});

test('one that hangs is given so many and no more, and when it takes again those who wait', async (t) => {
  const { share, connect } = await openShare(t);
  const [hanging] = join(share, 1);
  assert.ok(hanging);
  for (let n = 0; n < 1_024; n += 1) await connect();
  await untilGiven(1_024, hanging);
  await connect();
  await eventually(() => share.unserved() === 1_025);
  assert.equal(hanging.given.length, 1_024);
  share.took(hanging, hanging.given[0]?.connection ?? 0);
  assert.equal(hanging.given.length, 1_025);
  const [other] = join(share, 1);
  assert.ok(other);
  await connect();
  await untilGiven(1, other);
});

test('one that leaves gets no more, and keeps what it was given', async (t) => {
  const { share, connect } = await openShare(t);
  const [leaving, staying] = join(share, 2);
  assert.ok(leaving && staying);
  await connect();
  await untilGiven(1, leaving, staying);
  share.leave(leaving);
  for (let n = 0; n < 4; n += 1) await connect();
  await untilGiven(5, leaving, staying);
  assert.ok(staying.given.length >= 4);
  for (const { connection } of leaving.given) share.took(leaving, connection);
  assert.equal(leaving.given[0]?.socket.destroyed ?? true, true);
});

test('after the end nobody is accepted, and who waits is not left waiting', async (t) => {
  const { share, connect, addresses } = await openShare(t);
  const waiting = await connect();
  const closed = once(waiting, 'close');
  waiting.resume();
  share.close();
  await closed;
  const late = net.connect(addresses[0]?.port ?? 0, '127.0.0.1');
  const [error] = await once(late, 'error');
  assert.equal(error.code, 'ECONNREFUSED');
});

test('it listens on IPv6, and says which port is taken', async (t) => {
  const { addresses } = await openShare(t, ['::1']);
  assert.match(addresses[0]?.url ?? '', /^http:\/\/\[::1\]:\d+$/);
  const port = addresses[0]?.port ?? 0;
  await assert.rejects(createConnectionShare().listen([{ host: '::1', port }]), { code: 'EADDRINUSE', port });
});
