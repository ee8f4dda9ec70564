import type { Command } from 'commander';
import type { Io } from '../../../client/cli/io.ts';
import { addFlags, readFlags } from '../../../config/flags.ts';
import { loadConfig } from '../../../config/load.ts';
import { renewGeneration } from '../../ledger/ledger.ts';
import { openStore } from '../../open-store.ts';

/** `sluice store new-generation`: accepts a store that was lost, restored or moved. */
export function registerNewGeneration(store: Command, io: Io): void {
  const renew = store
    .command('new-generation')
    .description('accept the present store as it is; every credential sold so far becomes void')
    .option('--yes', 'do it: without this, only say what would happen');
  addFlags(renew).action(async (options: Readonly<Record<string, unknown>>) => {
    const { yes, ...flags } = options;
    const { config } = loadConfig({ flags: readFlags(flags), env: io.env, cwd: io.cwd });
    const opened = await openStore(config.store, Date.now);
    try {
      if (yes !== true) {
        io.stderr.write(
          `This voids every credential that was sold from ${opened.name}: holders must pay again. It is for a store that was ` +
            'lost or restored from a backup. Stop the gateway first, then add --yes.\n',
        );
        io.setExitCode(1);
        return;
      }
      const generation = await renewGeneration(opened.store, config.dataDir);
      io.stdout.write(
        `${opened.name} has a new generation (${generation.slice(0, 8)}…). Start the gateway.\n`,
      );
    } finally {
      await opened.store.close();
    }
  });
}
