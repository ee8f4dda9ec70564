import type { DatabaseSync } from 'node:sqlite';
import type { Books } from '../books.ts';
import { type AccountsTable, accountsTable } from './accounts-table.ts';
import { claimsTable } from './claims-table.ts';
import { identityTables, revocationsTable } from './identity-tables.ts';
import { keysTable } from './keys-table.ts';
import { leasesTable } from './leases-table.ts';
import { offersTable } from './offers-table.ts';
import { paidTimeTable } from './paid-time-table.ts';

/** The books in a migrated database, over prepared statements. To be used inside a transaction only. */
export function sqliteBooks(db: DatabaseSync): Books & Pick<AccountsTable, 'forgetRowsRead'> {
  return {
    ...accountsTable(db),
    ...claimsTable(db),
    ...keysTable(db),
    ...leasesTable(db),
    ...paidTimeTable(db),
    ...offersTable(db),
    ...revocationsTable(db),
    ...identityTables(db),
  };
}
