import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeRedis, connectRedis, type RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { createProofs, guardScript, mismatchOf, type Proofs } from '../../gateway/ledger/redis/proofs.ts';
import { slotOf } from '../../gateway/ledger/redis/slots.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';

const GENERATION = 'a'.repeat(32);
/** As a claim: the first to come wins. */
const CLAIM = guardScript(`
  if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return 'claimed ' .. #KEYS .. ' ' .. #ARGV end
  return 'taken'
`);

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

function claim(client: RedisClient, proofs: Proofs, key: string): Promise<unknown> {
  return client.eval(CLAIM, 2, key, proofs.keyFor(key), 'me', ...proofs.wanted());
}

async function why(work: Promise<unknown>): Promise<string | undefined> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return mismatchOf(error);
}

test('a script works where its proof is, and sees neither its key nor its arguments', async () => {
  const server = await startRedis();
  closers.push(() => server.stop());
  const client = await connectRedis(storeOn(server));
  closers.push(() => closeRedis(client));
  const proofs = createProofs({ keyPrefix: 's:', isCluster: false });
  proofs.wantGeneration(GENERATION);
  assert.equal(await why(claim(client, proofs, 'a')), 'empty');
  await proofs.write(client, GENERATION);
  assert.equal(await claim(client, proofs, 'a'), 'claimed 1 1');
  proofs.wantEpoch(2);
  proofs.wantEpoch(1);
  assert.equal(await why(claim(client, proofs, 'b')), 'older');
  assert.equal(await proofs.raise(client, 2), 0);
  assert.equal(await claim(client, proofs, 'b'), 'claimed 1 1');
  assert.equal(await proofs.raise(client, 1), 0);
  assert.equal(await claim(client, proofs, 'a'), 'taken');
  await client.flushall();
  assert.equal(await why(claim(client, proofs, 'a')), 'empty');
  assert.equal(await proofs.raise(client, 3), 1);
  assert.equal(await why(claim(client, proofs, 'a')), 'empty');
  await proofs.write(client, 'b'.repeat(32));
  assert.equal(await why(claim(client, proofs, 'a')), 'generation');
});

test('Redis comes back empty, again and again, under load: nothing is claimed a second time', async () => {
  const server = await startRedis();
  closers.push(() => server.stop());
  const client = await connectRedis(storeOn(server));
  closers.push(() => closeRedis(client));
  const proofs = createProofs({ keyPrefix: 's:', isCluster: false });
  proofs.wantGeneration(GENERATION);
  await proofs.write(client, GENERATION);
  const keys = Array.from({ length: 200 }, (_, i) => `claim:${i}`);
  for (const key of keys) assert.equal(await claim(client, proofs, key), 'claimed 1 1');
  let claimedAgain = 0;
  let stop = false;
  let mismatches = 0;
  const load = Array.from({ length: 20 }, async (_, worker) => {
    for (let i = worker; !stop; i += 1) {
      const key = keys[i % keys.length] ?? '';
      await claim(client, proofs, key).then(
        (answer) => {
          if (answer !== 'taken') claimedAgain += 1;
        },
        (error: unknown) => {
          if (mismatchOf(error) !== undefined) mismatches += 1;
        },
      );
      await new Promise(setImmediate);
    }
  });
  for (let round = 0; round < 5; round += 1) {
    await server.kill();
    await server.start();
    const before = mismatches;
    await eventually(
      () => mismatches,
      (now) => now > before,
    );
  }
  stop = true;
  await Promise.all(load);
  assert.equal(claimedAgain, 0);
});

test('one node of a Cluster comes back empty: its slots sell nothing, the others go on', async () => {
  const cluster = await startRedisCluster({ lines: ['cluster-require-full-coverage no'] });
  closers.push(() => cluster.stop());
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const client = await connectRedis(redisStoreConfig({ kind: 'cluster', nodes }));
  closers.push(() => closeRedis(client));
  const proofs = createProofs({ keyPrefix: 's:', isCluster: true });
  proofs.wantGeneration(GENERATION);
  await proofs.write(client, GENERATION);
  const keys = Array.from({ length: 60 }, (_, i) => `s:{${i}}claim`);
  for (const key of keys) {
    assert.equal(slotOf(key), slotOf(proofs.keyFor(key)));
    assert.equal(await claim(client, proofs, key), 'claimed 1 1');
  }
  const lost = await cluster.ownerOf('{0}');
  await lost.call('FLUSHALL');
  for (const key of keys) {
    const isLost = (await cluster.ownerOf(key)) === lost;
    if (isLost) assert.equal(await why(claim(client, proofs, key)), 'empty');
    else assert.equal(await claim(client, proofs, key), 'taken');
  }
  const missing = await proofs.raise(client, 1);
  assert.ok(missing > 5_000 && missing < 6_000);
});
