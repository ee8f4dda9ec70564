import { join } from 'node:path';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { manyGatewaysContract, type OpenShared } from '../contract/many-gateways.contract.ts';
import { busHub } from '../support/bus-hub.ts';

/* Each gateway has a handle of its own on one SQLite file, as two processes have. */

function onOneFile(mode: 'carries' | 'loses'): OpenShared {
  return async (_t, scene) => {
    const file = join(await scene.folder(), 'store.db');
    const hub = busHub(mode);
    return {
      openStore: () => openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }),
      openBus: async () => hub.join(),
    };
  };
}

manyGatewaysContract('on one SQLite file, that tell each other', onOneFile('carries'));
manyGatewaysContract('on one SQLite file, with every message between them lost', onOneFile('loses'));
