import type { ServiceConfig } from '../../config/config.ts';
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

/** Everything that is sold, a line each. */
export function formatServices(services: readonly ServiceConfig[]): string {
  const rows = services.map((service) => [
    service.name,
    formatMatch(service),
    describePrice(service.price),
    service.upstream,
  ]);
  return formatTable([['SERVICE', 'REQUESTS', 'PRICE', 'UPSTREAM'], ...rows]);
}
