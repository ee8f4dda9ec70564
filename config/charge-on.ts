import { z } from 'zod';
import type { StatusRanges } from './config.ts';

const FORM = 'write `2xx`, `404`, `400-428` or `4xx except 429`, several in a list';

/** `2xx, 3xx, 4xx except 429`, as text or as a list, to inclusive ranges. */
export const chargeOn: z.ZodType<StatusRanges, string | number | (string | number)[]> = z
  .union([z.string(), z.number(), z.array(z.union([z.string(), z.number()])).max(50)])
  .transform((value, context): StatusRanges => {
    const charged = new Set<number>();
    for (const item of itemsOf(value)) {
      const statuses = readItem(item);
      if (statuses === undefined) {
        context.addIssue({
          code: 'custom',
          message: 'names no statuses from 200 to 599',
          params: { remedy: FORM },
        });
        return z.NEVER;
      }
      for (const status of statuses) charged.add(status);
    }
    return toRanges(charged);
  });

function itemsOf(value: string | number | readonly (string | number)[]): readonly string[] {
  if (typeof value === 'string') return value.split(',').map((item) => item.trim());
  return (typeof value === 'number' ? [value] : value).map((item) => String(item).trim());
}

function readItem(item: string): ReadonlySet<number> | undefined {
  const [kept = '', except, ...more] = item.split(/\s+except\s+/i);
  const statuses = readRange(kept);
  if (statuses === undefined || more.length > 0) return undefined;
  for (const part of except === undefined ? [] : except.split(/\s+(?:and|or)\s+|\s+/i)) {
    const removed = readRange(part);
    if (removed === undefined) return undefined;
    for (const status of removed) statuses.delete(status);
  }
  return statuses;
}

function readRange(text: string): Set<number> | undefined {
  const whole = /^([2-5])xx$/i.exec(text);
  const range = whole ? [`${whole[1]}00`, `${whole[1]}99`] : /^(\d{3})(?:-(\d{3}))?$/.exec(text)?.slice(1);
  if (range === undefined) return undefined;
  const from = Number(range[0]);
  const to = Number(range[1] ?? range[0]);
  if (from < 200 || to > 599 || from > to) return undefined;
  return new Set(Array.from({ length: to - from + 1 }, (_, index) => from + index));
}

function toRanges(statuses: ReadonlySet<number>): StatusRanges {
  const ranges: [number, number][] = [];
  for (const status of [...statuses].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === status - 1) last[1] = status;
    else ranges.push([status, status]);
  }
  return ranges;
}
