import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore } from '../../gateway/ledger/redis.ts';
import { msat } from '../../node/msat.ts';
import { redisStoreConfig } from '../support/redis-server.ts';
import { claimNumber, offerNumber } from './crash-terms.ts';

/*
 * A gateway that is killed in the middle of a verb: before the command of that number leaves, counted from the verb's first.
 * Arguments: port, verb, number, which payment.
 */

const [, , port, verb, killAt, payment] = process.argv;
const client = await connectRedis(
  redisStoreConfig({ kind: 'single', server: { host: '127.0.0.1', port: Number(port) } }),
);
assert.ok(client instanceof Redis);
const store = await openRedisStore({ client, name: 'the test', keyPrefix: 'test:' });

let commands = 0;
const send = client.sendCommand.bind(client);
client.sendCommand = (command, stream) => {
  commands += 1;
  if (commands === Number(killAt)) process.kill(process.pid, 'SIGKILL');
  return send(command, stream);
};

const n = Number(payment);
if (verb === 'redeem') await store.redeem(claimNumber(n));
if (verb === 'offer') await store.offer(offerNumber(n), 1_000);
if (verb === 'settle') await store.settleOffer(offerNumber(n).paymentHash, msat(1_007));
await store.close();
