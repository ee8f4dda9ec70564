import { UsageError } from './exit-codes.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, '': 1_000, m: 60_000, h: 3_600_000 };
/** What a timer of Node can wait for. */
const MAX_MS = 2_147_483_647;

/** A time that a person wrote: `30s`, `5m`, `1.5h`, or seconds alone. @returns ms @throws UsageError */
export function parseDuration(option: string, text: string): number {
  const [, amount = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Math.round(Number(amount) * (UNIT_MS[unit] ?? 0));
  if (amount === '' || ms < 1 || ms > MAX_MS) {
    throw new UsageError(`${option} takes a time, such as 30s, 5m or 1h; "${text}" is none.`);
  }
  return ms;
}
