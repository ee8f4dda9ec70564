import { formatMsat } from '../../node/msat.ts';
import type { PaymentKind } from '../settlements/judge-payment.ts';
import type { Finding, ReconcileReport } from '../settlements/reconcile.ts';
import { formatTable } from './print-table.ts';

const MEANING: Readonly<Record<PaymentKind, string>> = {
  credited: 'the ledger has them',
  'claimed-late': 'credited by their credential before the node told; the top-up is still open',
  unclaimed: 'paid, and never presented',
  missing: 'should be credited, and are not',
  forgotten: 'what they bought ended before the purge; nothing can be said of them',
};

const COVERAGE: Readonly<Record<ReconcileReport['coverage'], string>> = {
  complete: '',
  cut: 'The node has more invoices than were read: ask for a shorter time with --since.\n',
  'offers-only': 'This node can not list its invoices: only open top-ups were looked up.\n',
};

/** A report for a person: the sums, then each payment that is worth naming. */
export function formatReconciliation(report: ReconcileReport): string {
  const { tallies, findings, findingsLeftOff, others, unanswered, mended } = report;
  const kinds = [
    ['credited', tallies.credited],
    ['claimed-late', tallies['claimed-late']],
    ['unclaimed', tallies.unclaimed],
    ['missing', tallies.missing],
    ['forgotten', tallies.forgotten],
  ] as const;
  const sums = kinds.map(([kind, { payments, paidMsat }]) => [
    kind,
    String(payments),
    payments === 0 ? '' : formatMsat(paidMsat),
    MEANING[kind],
  ]);
  const rows = findings.map(formatFinding);
  return [
    `Payments since ${moment(report.sinceSec)}\n\n`,
    formatTable(sums),
    rows.length === 0
      ? ''
      : `\n${formatTable([['WHAT', 'PAID', 'WHEN', 'SERVICE', 'PAYMENT HASH', ''], ...rows])}`,
    findingsLeftOff === 0 ? '' : `… and ${findingsLeftOff} more.\n`,
    '\n',
    others === 0 ? '' : `${others} other payments of this node are not this ledger's.\n`,
    unanswered === 0 ? '' : `The node did not answer for ${unanswered} open top-ups.\n`,
    COVERAGE[report.coverage],
    conclude(report, mended),
  ].join('');
}

function conclude({ tallies, findings }: ReconcileReport, mended: number): string {
  if (mended > 0) return `${mended} mended.\n`;
  const mendable = findings.some(
    ({ kind, note }) => kind === 'claimed-late' || (kind === 'missing' && note === undefined),
  );
  if (mendable) return 'Run it again with --mend to credit what is missing.\n';
  return tallies.missing.payments === 0 ? 'Nothing is missing.\n' : '';
}

function formatFinding({
  kind,
  paidMsat,
  settledAtSec,
  service,
  paymentHash,
  mended,
  note,
}: Finding): string[] {
  const end = mended ? 'mended' : (note ?? '');
  return [kind, formatMsat(paidMsat), moment(settledAtSec), service ?? '?', paymentHash, end];
}

function moment(sec: number): string {
  return new Date(sec * 1000).toISOString().replace('.000', '');
}
