import type { Command } from 'commander';
import type { Io } from '../../../client/cli/io.ts';
import type { StoreConfig } from '../../../config/config.ts';
import { addFlags, FlagsError, readFlags } from '../../../config/flags.ts';
import { loadConfig } from '../../../config/load.ts';
import { formatMsat } from '../../../node/msat.ts';
import { checkRecords, MAX_FINDINGS, type RecordsReport } from '../../ledger/check-records.ts';
import { nameRedis } from '../../ledger/name-store.ts';
import type { LedgerRecords } from '../../ledger/records.ts';
import { connectRedis } from '../../ledger/redis/connect.ts';
import { openRedisRecords } from '../../ledger/redis/records.ts';
import { openSqliteRecords } from '../../ledger/sqlite/records.ts';

/** `sluice store check`: looks at every row of the ledger. Exit code 1 when something is wrong. Gateways may go on meanwhile. */
export function registerCheck(store: Command, io: Io): void {
  const command = store
    .command('check')
    .description('look at every row of the ledger: do the books of each account balance?')
    .option('--json', 'the report as JSON');
  addFlags(command).action(async (options: Readonly<Record<string, unknown>>) => {
    const { json, ...flags } = options;
    const { config } = loadConfig({ flags: readFlags(flags), env: io.env, cwd: io.cwd });
    const records = await openRecords(config.store);
    try {
      const report = await checkRecords(records);
      io.stdout.write(
        json === true ? `${JSON.stringify(report, null, 2)}\n` : formatReport(records.name, report),
      );
      if (report.wrong > 0) io.setExitCode(1);
    } finally {
      await records.close();
    }
  });
}

/** The rows of the configured store. @throws StoreError, FlagsError */
async function openRecords(config: StoreConfig): Promise<LedgerRecords> {
  switch (config.type) {
    case 'memory':
      throw new FlagsError('error: a store in memory is gone with its gateway; there is nothing to check', 1);
    case 'sqlite':
      return openSqliteRecords(config.file, 'snapshot');
    case 'redis':
      return openRedisRecords(await connectRedis(config), nameRedis(config), config.keyPrefix);
  }
}

/** Sums of a store, one a line. */
export function formatSums({
  totals,
  offers,
  revocations,
}: Omit<RecordsReport, 'findings' | 'wrong' | 'claimsWithoutCredit'>): string {
  const rows = [
    ['accounts', `${totals.accounts}`],
    ['claims', `${totals.claims}`],
    ['top-ups', `${offers}`],
    ['revocations', `${revocations}`],
    ['credited', formatMsat(totals.creditedMsat)],
    ['spent', formatMsat(totals.spentMsat)],
    ['reserved', formatMsat(totals.reservedMsat)],
    ['expired', formatMsat(totals.expiredMsat)],
    ['balance', formatMsat(totals.balanceMsat)],
  ] as const;
  return rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}\n`).join('');
}

function formatReport(name: string, report: RecordsReport): string {
  const { findings, wrong, claimsWithoutCredit } = report;
  const lines = [name, formatSums(report)];
  if (claimsWithoutCredit > 0)
    lines.push(
      `${claimsWithoutCredit} payments were claimed and not credited yet: they are when their holder comes again.`,
    );
  if (wrong === 0) lines.push('OK: the books of every account balance.');
  else lines.push(`WRONG in ${wrong} places:`, ...findings.map((finding) => `  ${finding}`));
  if (wrong > findings.length) lines.push(`  … and more; the first ${MAX_FINDINGS} are shown`);
  if (wrong > 0)
    lines.push(
      '',
      'Stop the gateways, keep a copy of the store as it is, and report it: no verb leaves books like these.',
    );
  return `${lines.join('\n')}\n`;
}
