import { toService } from '../e2e/scene.ts';
import { buy, startTestGateway } from '../support/gateway.ts';
import { redisStoreConfig } from '../support/redis-server.ts';
import { openOn } from './redis-backend.ts';
import { WARE } from './streams-ware.ts';

/*
 * A gateway on Redis in a process of its own, to be killed by a test. It says where it is, with a credential that is paid for, and dies
 * with its parent. Arguments: port of Redis, upstream.
 */

const [, , port, upstream = ''] = process.argv;

process.once('disconnect', () => process.exit());
const server = { host: '127.0.0.1', port: Number(port) };
const store = await openOn(redisStoreConfig({ kind: 'single', server }));
const gateway = await startTestGateway([toService({ ...WARE, upstream })], { store });
process.send?.({ url: gateway.url, credential: await buy(gateway, '/quote') });
