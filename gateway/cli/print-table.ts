import type { ServiceConfig } from '../../config/config.ts';
import { formatMsat } from '../../node/msat.ts';
import { describeBought } from '../pricing/describe-deposit.ts';
import { describePrice } from '../pricing/describe-price.ts';

/** Rows in columns, two spaces apart, without spaces at the ends of lines. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** What a service answers: `GET,POST api.example.com/v1/*`. */
export function formatMatch({ methods, host, path, ignoreCase }: ServiceConfig): string {
  const method = methods === undefined ? '' : `${methods.join(',')} `;
  return `${method}${host ?? ''}${path}${ignoreCase === true ? ' (any case)' : ''}`;
}

/** What a metered price sells at once: `100 sat buys 16 minutes 40 seconds`; empty for other prices. */
export function formatDeposit({ price, metering }: ServiceConfig): string {
  if (price.kind !== 'metered' || metering === undefined) return '';
  const { depositMsat, usage } = metering;
  // With rates by model the service's own price says nothing about what they cost.
  const varies = usage?.kind === 'preset' && usage.models !== undefined;
  const bought = varies ? 'what its model costs' : describeBought(price, depositMsat);
  return `${formatMsat(depositMsat)} buys ${bought}`;
}

/** Everything that is sold, a line each. */
export function formatServices(services: readonly ServiceConfig[]): string {
  const metered = services.some(({ metering }) => metering !== undefined);
  const rows = services.map((service) => [
    service.name,
    formatMatch(service),
    describePrice(service.price),
    ...(metered ? [formatDeposit(service)] : []),
    service.upstream,
  ]);
  const deposit = metered ? ['DEPOSIT'] : [];
  return formatTable([['SERVICE', 'REQUESTS', 'PRICE', ...deposit, 'UPSTREAM'], ...rows]);
}
