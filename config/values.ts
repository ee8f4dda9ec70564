import { isIP } from 'node:net';
import { z } from 'zod';
import { type Decimal, readDecimal, timesDecimal, toWhole } from '../gateway/pricing/decimal.ts';
import { parseAmountMsat } from '../gateway/pricing/parse-amount.ts';
import { parsePrice } from '../gateway/pricing/parse-price.ts';
import type { Price } from '../gateway/pricing/price.ts';
import { PriceError } from '../gateway/pricing/price-error.ts';
import { SIZE_BYTES, TIME_SEC } from '../gateway/pricing/words.ts';
import type { Msat } from '../node/msat.ts';

/*
 * The kinds of value that a configuration holds, each read from what a person writes. A message says what is wrong and never repeats
 * the value, which may have come from a secret; what to do instead travels in `params.remedy`.
 */

/** `${NAME}`, as examples and remedies show it. */
export function reference(name: string): string {
  return `\${${name}}`;
}

/** Why a value was refused. */
export interface Refused {
  readonly problem: string;
  readonly remedy: string;
  /** The remedy is made of the value, so it may be as secret as that. */
  readonly derived?: true;
}

/** What a key holds, for the reference. */
export type ValueKind =
  | 'text'
  | 'number'
  | 'time'
  | 'size'
  | 'amount'
  | 'price'
  | 'amount, time or size'
  | 'rate'
  | 'address'
  | 'true or false';

/**
 * A schema for text that `read` turns into a value or refuses. Kinds other than text may be bare numbers in YAML too; text may not, because
 * YAML would make `1.1` of `1.10`.
 */
export function written<T>(
  read: (text: string) => T | Refused,
  kind: ValueKind = 'text',
): z.ZodType<T, string | number> {
  const plain: z.ZodType<string | number, string | number> =
    kind === 'text' ? z.string() : z.union([z.string(), z.number()]);
  const schema = plain.transform((value, context): T => {
    const result = read(String(value).trim());
    if (!isRefused(result)) return result;
    context.addIssue({
      code: 'custom',
      message: result.problem,
      params: { remedy: result.remedy, derived: result.derived === true },
    });
    return z.NEVER;
  });
  return schema.meta({ kind });
}

function isRefused(value: unknown): value is Refused {
  return typeof value === 'object' && value !== null && 'problem' in value && 'remedy' in value;
}

/** Text of at most `max` characters, without control characters. */
export function text(max = 1_000): z.ZodType<string, string | number> {
  return written((value): string | Refused => {
    if (value === '') return { problem: 'is empty', remedy: 'write a text, or leave the key out' };
    if (value.length > max) return { problem: `is longer than ${max} characters`, remedy: 'shorten it' };
    for (const character of value) {
      const code = character.charCodeAt(0);
      if (code < 0x20 || code === 0x7f) {
        return {
          problem: 'holds a control character or a line break',
          remedy: 'write one line of plain text',
        };
      }
    }
    return value;
  });
}

/** A number from `min` to `max`, also as text (from the environment). */
export function number(
  min: number,
  max: number,
  kind: 'whole' | 'any' = 'whole',
): z.ZodType<number, string | number> {
  return written((value): number | Refused => {
    const parsed = /^\d{1,16}(\.\d{1,6})?$/.test(value) ? Number(value) : Number.NaN;
    const whole = kind === 'whole';
    if (parsed >= min && parsed <= max && (!whole || Number.isInteger(parsed))) return parsed;
    return {
      problem: `is not a ${whole ? 'whole ' : ''}number from ${min} to ${max}`,
      remedy: `write one of them`,
    };
  }, 'number');
}

/** `true` or `false`, also as text (from the environment). */
export const yesNo: z.ZodType<boolean, boolean | string> = z
  .union([z.boolean(), z.string()])
  .transform((value, context) => {
    if (value === true || value === 'true') return true;
    if (value === false || value === 'false') return false;
    context.addIssue({
      code: 'custom',
      message: 'is neither true nor false',
      params: { remedy: 'write `true` or `false`' },
    });
    return z.NEVER;
  })
  .meta({ kind: 'true or false' });

/** A length of time, as ms: `500ms`, `30s`, `10m`, `24h`, `30 days`. */
export function durationMs(min: string, max: string): z.ZodType<number, string | number> {
  const least = readMs(min) ?? 0;
  const most = readMs(max) ?? 0;
  return written((value): number | Refused => {
    const ms = readMs(value);
    if (ms === undefined) {
      return {
        problem: 'is not a length of time',
        remedy: 'write a number and a unit: `500ms`, `30s`, `10m`, `24h`, `30 days`',
      };
    }
    if (ms >= least && ms <= most) return ms;
    return {
      problem: `is not between ${min} and ${max}`,
      remedy: `write a time from \`${min}\` to \`${max}\``,
    };
  }, 'time');
}

function readMs(value: string): number | undefined {
  return readQuantity(value, (unit) => {
    if (unit === 'ms') return 1;
    const seconds = TIME_SEC.get(unit);
    return seconds === undefined ? undefined : seconds * 1_000;
  });
}

/** A length of time in whole seconds. */
export function durationSec(min: string, max: string): z.ZodType<number, string | number> {
  return durationMs(min, max)
    .transform((ms, context) => {
      if (ms % 1_000 === 0) return ms / 1_000;
      context.addIssue({
        code: 'custom',
        message: 'is not whole seconds',
        params: { remedy: 'write whole seconds: `30s`' },
      });
      return z.NEVER;
    })
    .meta({ kind: 'time' });
}

/** A number of bytes: `512 bytes`, `16KB`, `1MB`, `1GB`. KB is 1,000 bytes. */
export function sizeBytes(min: string, max: string): z.ZodType<number, string | number> {
  const least = readBytes(min) ?? 0;
  const most = readBytes(max) ?? 0;
  return written((value): number | Refused => {
    const bytes = readBytes(value);
    if (bytes === undefined) {
      return {
        problem: 'is not a size',
        remedy: 'write a number and a unit: `512 bytes`, `16KB`, `1MB`, `1GB` (KB is 1,000 bytes)',
      };
    }
    if (bytes >= least && bytes <= most) return bytes;
    return {
      problem: `is not between ${min} and ${max}`,
      remedy: `write a size from \`${min}\` to \`${max}\``,
    };
  }, 'size');
}

function readBytes(value: string): number | undefined {
  return readQuantity(value, (unit) => SIZE_BYTES.get(unit));
}

function readQuantity(value: string, sizeOf: (unit: string) => number | undefined): number | undefined {
  const parts = /^(\d{1,15}(?:\.\d{1,9})?) ?([a-z]{1,12})$/i.exec(value);
  const count: Decimal | undefined = readDecimal(parts?.[1] ?? '');
  const size = sizeOf((parts?.[2] ?? '').toLowerCase());
  return count === undefined || size === undefined ? undefined : toWhole(timesDecimal(count, BigInt(size)));
}

/** An amount of bitcoin, msat: `1 sat`, `1500 msat`. */
export const amountMsat: z.ZodType<Msat, string | number> = written(
  (value) => orRefused(() => parseAmountMsat(value)),
  'amount',
);

/** A price: `10 sat`, `500 sat for 100 calls`, `1000 sat for 24h`, `free`. */
export const price: z.ZodType<Price, string | number> = written(
  (value) => orRefused(() => parsePrice(value)),
  'price',
);

/** What a reader of prices says, as a schema says it. */
export function orRefused<T>(read: () => T, isNone = 'is not a price'): T | Refused {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PriceError)) throw error;
    return {
      problem: `${isNone}: ${error.problem}`,
      remedy: `write for example \`${error.nearest}\``,
      derived: true,
    };
  }
}

/** Where to listen. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:8402`, `[::1]:8402`, `:8402` (every address), or a bare port, which is loopback. */
export const address: z.ZodType<Address, string | number> = written((value): Address | Refused => {
  const parts = /^(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*|\*):)?(\d{1,5})$/.exec(value);
  const port = Number(parts?.[2]);
  const host = hostOfAddress(parts?.[1]);
  if (parts === null || port > 65_535 || host === undefined) {
    return {
      problem: 'is not an address and a port',
      remedy: 'write for example `127.0.0.1:8402`, `[::1]:8402`, or `:8402` for every address',
    };
  }
  return { host, port };
}, 'address');

function hostOfAddress(host: string | undefined): string | undefined {
  if (host === undefined) return '127.0.0.1';
  if (host === '' || host === '*') return '::';
  if (!host.startsWith('[')) return host.toLowerCase();
  const bare = host.slice(1, -1).toLowerCase();
  return isIP(bare) === 6 ? bare : undefined;
}
