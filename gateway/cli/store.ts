import type { Command } from 'commander';
import type { Io } from '../../client/cli/io.ts';
import { registerAcceptCopy } from './store/accept-copy.ts';
import { registerBackup } from './store/backup.ts';
import { registerCheck } from './store/check.ts';
import { registerMigrate } from './store/migrate.ts';
import { registerNewGeneration } from './store/new-generation.ts';

/** `sluice store …`: what an operator does with the ledger's storage. */
export function registerStore(program: Command, io: Io): void {
  const store = program.command('store').description("the gateway's ledger");
  registerCheck(store, io);
  registerBackup(store, io);
  registerMigrate(store, io);
  registerNewGeneration(store, io);
  registerAcceptCopy(store, io);
}
