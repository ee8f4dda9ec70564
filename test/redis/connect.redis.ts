import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import type { RedisStoreConfig } from '../../config/config.ts';
import { closeRedis, connectRedis, type RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { StoreError } from '../../gateway/ledger/store.ts';
import { CERTIFICATE_ONE, CERTIFICATE_TWO } from '../security/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { startRedisSentinel } from '../support/redis-sentinel.ts';
import {
  freePorts,
  type RedisServer,
  redisStoreConfig,
  startRedis,
  storeOn,
} from '../support/redis-server.ts';

const SHORT = { connectTimeoutMs: 300, commandTimeoutMs: 300 };

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function redis(...options: Parameters<typeof startRedis>): Promise<RedisServer> {
  const server = await startRedis(...options);
  closers.push(() => server.stop());
  return server;
}

async function connect(
  config: RedisStoreConfig,
  ...rest: [Parameters<typeof connectRedis>[1]?]
): Promise<RedisClient> {
  const client = await connectRedis(config, ...rest);
  closers.push(() => closeRedis(client));
  return client;
}

async function refusal(config: RedisStoreConfig): Promise<string> {
  try {
    await closeRedis(await connectRedis(config));
  } catch (error) {
    assert.ok(error instanceof StoreError && error.code === 'unavailable');
    return error.message;
  }
  throw new Error('it connected');
}

/** A server that is not Redis. */
async function impostor(onConnection: (socket: Socket) => void): Promise<RedisStoreConfig> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return redisStoreConfig({ kind: 'single', server: { host: '127.0.0.1', port: address.port } }, SHORT);
}

test('a single server is connected to, and answers', async () => {
  const client = await connect(storeOn(await redis()));
  assert.equal(await client.set('a', '1'), 'OK');
});

test('nobody listens: it says so, and what to look at', async () => {
  const [port = 0] = await freePorts(1);
  const config = redisStoreConfig({ kind: 'single', server: { host: '127.0.0.1', port } }, SHORT);
  const message = await refusal(config);
  assert.match(message, new RegExp(`redis://127\\.0\\.0\\.1:${port} can't be used: nobody listens there`));
});

test('passwords and ACL users: missing, wrong, right, and none of them in a message', async () => {
  const server = await redis({
    lines: ['requirepass open-sesame', 'user shop on >shop-secret ~sluice:* &sluice:* +@all'],
    login: { password: 'open-sesame' },
  });
  assert.match(await refusal(storeOn(server)), /wants a password/);
  const wrong = await refusal(storeOn(server, { username: 'shop', password: 'not-the-secret' }));
  assert.match(wrong, /refuses the user or the password/);
  assert.doesNotMatch(wrong, /not-the-secret/);
  const client = await connect(storeOn(server, { username: 'shop', password: 'shop-secret' }));
  assert.equal(await client.set('sluice:a', '1'), 'OK');
  await assert.rejects(async () => client.set('other', '1'), /NOPERM/);
  await connect(storeOn(server, { password: 'open-sesame' }));
});

test('TLS: the right authority, a strange one, a wrong name, and each side without it', async () => {
  const server = await redis({ tls: CERTIFICATE_ONE });
  const plain = await redis();
  const strange = path.join(plain.folder, 'other.crt');
  await writeFile(strange, CERTIFICATE_TWO.cert);
  const caFile = path.join(server.folder, 'tls.crt');
  const client = await connect(storeOn(server, { tls: { caFile } }));
  assert.equal(await client.ping(), 'PONG');
  assert.match(await refusal(storeOn(server, { tls: { caFile: strange } })), /not signed by an authority/);
  assert.match(
    await refusal(storeOn(server, { tls: { caFile, servername: 'else.example' } })),
    /another name/,
  );
  assert.match(await refusal(storeOn(server, SHORT)), /expects TLS/);
  assert.match(
    await refusal(storeOn(plain, { ...SHORT, tls: {} })),
    /does not speak TLS|expects TLS|in time/,
  );
  assert.match(await refusal(storeOn(server, { tls: { caFile: '/nonexistent.crt' } })), /can not be read/);
});

test('a plain server where a Cluster or a sentinel is configured', async () => {
  const { host, port } = await redis();
  assert.match(
    await refusal(redisStoreConfig({ kind: 'cluster', nodes: [{ host, port }] }, SHORT)),
    /is not a Cluster/,
  );
  assert.match(
    await refusal(redisStoreConfig({ kind: 'sentinel', master: 'm', sentinels: [{ host, port }] }, SHORT)),
    /plain Redis/,
  );
});

test('Redis goes away: every command fails at once, and works when it is back', async () => {
  const server = await redis();
  const told: (string | undefined)[] = [];
  const client = await connect(storeOn(server, SHORT), { onReach: (failure) => told.push(failure) });
  await server.kill();
  await assert.rejects(async () => client.set('a', '1'));
  await assert.rejects(async () => client.set('a', '2'));
  await eventually(
    () => told.length,
    (count) => count === 1,
  );
  assert.match(told[0] ?? '', /the connection is closed|nobody listens/);
  await server.start();
  await eventually(
    () => told.length,
    (count) => count === 2,
  );
  assert.equal(told[1], undefined);
  assert.equal(await client.get('a'), null);
});

test('Redis hangs: commands end within their time, the connection is given up, and it goes on when Redis does', async () => {
  const server = await redis();
  const client = await connect(storeOn(server, SHORT));
  server.pause();
  const asked = Array.from({ length: 50 }, (_, i) => client.set(`k${i}`, '1'));
  const outcomes = await Promise.allSettled(asked);
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  await eventually(
    () => client.status,
    (status) => status !== 'ready',
  );
  await assert.rejects(async () => client.set('a', '1'));
  server.resume();
  await eventually(
    () => client.set('a', '1').catch(() => undefined),
    (answer) => answer === 'OK',
  );
});

test('a client is closed while Redis is away, too', async () => {
  const server = await redis();
  const client = await connectRedis(storeOn(server, SHORT));
  await server.kill();
  await assert.rejects(async () => client.set('a', '1'));
  await closeRedis(client);
  await closeRedis(client);
  await assert.rejects(async () => client.set('a', '1'));
});

test('a command that got no answer is not sent a second time behind our back', async () => {
  const server = await redis();
  const client = await connect(storeOn(server, SHORT));
  server.pause();
  await assert.rejects(async () => client.incr('count'));
  server.resume();
  await eventually(
    () => client.set('later', '1').catch(() => undefined),
    (answer) => answer === 'OK',
  );
  assert.ok(Number(await client.get('count')) <= 1);
});

test('what is not Redis: silence, garbage, an answer without an end, a connection that closes', async () => {
  const silent = await impostor(() => {});
  assert.match(await refusal(silent), /in time/);
  const garbage = await impostor((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
  assert.match(await refusal(garbage), /is not Redis|in time|closed/);
  const rude = await impostor((socket) => socket.destroy());
  assert.match(await refusal(rude), /closed/);
  const endless = await impostor((socket) => {
    socket.write('$400000000\r\n');
    const pour = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
    };
    socket.on('drain', pour);
    pour();
  });
  await assert.rejects(
    connectRedis(endless, { maxBurstBytes: 2_000_000 }),
    (error) => error instanceof StoreError && /sent more than|in time|closed/.test(error.message),
  );
});

test('a Cluster: every slot is served, and the loss of a master leaves the others', async () => {
  const cluster = await startRedisCluster({ lines: ['cluster-require-full-coverage no'] });
  closers.push(() => cluster.stop());
  const [first] = cluster.masters;
  assert.ok(first);
  const nodes = [{ host: first.host, port: first.port }];
  const client = await connect(redisStoreConfig({ kind: 'cluster', nodes }, SHORT));
  for (let i = 0; i < 100; i += 1) assert.equal(await client.set(`{${i}}`, '1'), 'OK');
  const lost = await cluster.ownerOf('{0}');
  const keys = Array.from({ length: 100 }, (_, i) => `{${i}}`);
  const kept: string[] = [];
  for (const key of keys) if ((await cluster.ownerOf(key)) !== lost) kept.push(key);
  await lost.kill();
  await assert.rejects(async () => client.get('{0}'));
  for (const key of kept) assert.equal(await client.get(key), '1');
  await lost.start();
  await eventually(
    () => client.set('{0}', '2').catch(() => undefined),
    (answer) => answer === 'OK',
  );
});

test('Sentinel: a failover is followed, and an unknown name is said', async () => {
  const sentinel = await startRedisSentinel();
  closers.push(() => sentinel.stop());
  const sentinels = sentinel.sentinels.map(({ host, port }) => ({ host, port }));
  const reach = { kind: 'sentinel', sentinels, master: sentinel.name } as const;
  const client = await connect(redisStoreConfig(reach, SHORT));
  assert.equal(await client.set('a', '1'), 'OK');
  await sentinel.failover();
  await eventually(
    () => client.set('a', '2').catch(() => undefined),
    (answer) => answer === 'OK',
  );
  await sentinel.killMaster();
  await eventually(
    () => client.set('a', '3').catch(() => undefined),
    (answer) => answer === 'OK',
  );
  assert.match(
    await refusal(redisStoreConfig({ ...reach, master: 'nobody' }, SHORT)),
    /do not know a master of that name/,
  );
});
