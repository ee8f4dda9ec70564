import { join } from 'node:path';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { openSharing } from '../../gateway/open-sharing.ts';
import { manyGatewaysContract, type OpenShared } from '../contract/many-gateways.contract.ts';
import { busHub } from '../support/bus-hub.ts';

/* Each gateway has a handle of its own on one SQLite file, as two processes have. */

function onOneFile(mode: 'carries' | 'loses'): OpenShared {
  return async (_t, scene) => {
    const file = join(await scene.folder(), 'store.db');
    const hub = busHub(mode);
    const parts = {
      log: createLog({ level: 'silent', format: 'json' }),
      metrics: createMetrics({ version: 'test' }),
      nowMs: Date.now,
    };
    return async () => {
      const store = scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
      const config = { type: 'sqlite', file, spendDurability: 'normal', passGraceMs: 0 } as const;
      const { sessions } = scene.keep(await openSharing(config, { name: file }, parts));
      if (sessions === undefined) throw new Error('a SQLite store has sessions of its own');
      return { store, bus: hub.join(), sessions };
    };
  };
}

manyGatewaysContract('on one SQLite file, that tell each other', onOneFile('carries'));
manyGatewaysContract('on one SQLite file, with every message between them lost', onOneFile('loses'));
