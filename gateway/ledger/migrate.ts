import { hash } from 'node:crypto';
import { addMsat } from '../../node/msat.ts';
import { checkRecords, type RecordsReport } from './check-records.ts';
import { type AccountRecord, countRows, type LedgerRecords } from './records.ts';
import type { ImportStart, ImportTarget } from './redis/write-records.ts';
import { StoreError, type Totals } from './store.ts';

/** How far a migration has come, for whoever watches. */
export interface MigrationProgress {
  readonly kind: 'accounts' | 'claims' | 'offers' | 'revocations';
  readonly rows: number;
}

/** What a migration works with. The caller closes both sides. */
export interface MigrationParts {
  /** Nobody else has it open. */
  readonly from: LedgerRecords;
  readonly to: ImportTarget;
  /** Reads back what was written. */
  readonly written: Omit<LedgerRecords, 'settings' | 'close'>;
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** What was moved. */
export interface Migration {
  readonly start: ImportStart;
  readonly totals: Totals;
  readonly offers: number;
  readonly revocations: number;
}

/**
 * Copies a store that nobody uses to a place that no store is at, looks at every account once more, compares the sums, and only then makes it
 * a store. Broken off anywhere, it can be run again: every row is written as if for the first time.
 * @throws StoreError; until it returns, no gateway opens the new store, and the old one is as it was
 */
export async function migrate({
  from,
  to,
  written,
  onProgress = () => {},
}: MigrationParts): Promise<Migration> {
  const settings = await from.settings();
  const before = await checkRecords(from);
  if (before.wrong > 0) {
    throw new StoreError(
      'corrupt',
      `${from.name} is damaged (${before.findings[0]}): run \`sluice store check\`, and move it when it is mended.`,
    );
  }
  const start = await to.begin(settings);
  const { totals, offers, revocations } = before;
  if (start === 'finished') return { start, totals, offers, revocations };
  const copy = async <T>(
    kind: MigrationProgress['kind'],
    pages: AsyncIterable<readonly T[]>,
    write: (page: readonly T[]) => Promise<void>,
  ): Promise<void> => {
    let rows = 0;
    for await (const page of pages) {
      await write(page);
      rows += page.length;
      onProgress({ kind, rows });
    }
  };
  await copy('accounts', from.accounts(), to.accounts);
  await copy('claims', from.claims(), to.claims);
  await copy('offers', from.offers(), to.offers);
  await copy('revocations', from.revocations(), to.revocations);
  await compare(from, written, before);
  await to.finish(settings);
  return { start, totals, offers, revocations };
}

/** Every account, field by field, and every other row by its count. */
async function compare(
  from: LedgerRecords,
  written: MigrationParts['written'],
  before: RecordsReport,
): Promise<void> {
  const left = new Map<string, string>();
  for await (const page of written.accounts()) {
    for (const record of page) left.set(record.account.accountId, digest(record));
  }
  for await (const page of from.accounts()) {
    for (const record of page) {
      const { accountId } = record.account;
      if (left.get(accountId) !== digest(record)) throw differs(`account ${accountId}`);
      left.delete(accountId);
    }
  }
  const [extra] = left.keys();
  if (extra !== undefined) throw differs(`account ${extra}`);
  const counts = [
    ['claims', before.totals.claims, await countRows(written.claims())],
    ['offers', before.offers, await countRows(written.offers())],
    ['revocations', before.revocations, await countRows(written.revocations())],
  ] as const;
  for (const [what, there, here] of counts)
    if (there !== here) throw differs(`${there} ${what}, ${here} of them there`);
}

/** All that an account is, with its leases given back. */
function digest({ account, closed, credits }: AccountRecord): string {
  const { balanceMsat, reservedMsat, ...rest } = account;
  const sorted = credits.map(({ creditKey, ...credit }) => [creditKey, credit] as const).toSorted();
  const text = JSON.stringify([
    account.accountId,
    account.service,
    rest.creditedMsat,
    rest.spentMsat,
    rest.expiredMsat,
    addMsat(balanceMsat, reservedMsat),
    rest.expiresAtSec,
    rest.revoked,
    closed,
    sorted.map(([key, { amountMsat, expiresAtSec }]) => [key, amountMsat, expiresAtSec]),
  ]);
  // Of a million accounts there is room for this.
  return hash('sha256', text, 'base64url');
}

function differs(what: string): StoreError {
  return new StoreError(
    'corrupt',
    `What was written is not what was read: ${what}. Nothing was sold from it. Empty the new place and move again.`,
  );
}
