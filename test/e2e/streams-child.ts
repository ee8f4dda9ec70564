import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { buy, startTestGateway } from '../support/gateway.ts';
import { toService } from './scene.ts';
import { QUICK } from './streams-scene.ts';

/*
 * A gateway in a process of its own, to be killed by a test. It says where it is, with a credential that is paid for, and dies with
 * its parent.
 */

const [, , file = '', upstream = '', price = ''] = process.argv;

process.once('disconnect', () => process.exit());
const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
const gateway = await startTestGateway([toService({ price, upstream, metering: QUICK })], { store });
process.send?.({ url: gateway.url, credential: await buy(gateway, '/quote') });
