import { type Msat, msat } from '../node/msat.ts';

/** What a gateway says about an account at one moment. */
export interface AccountReport {
  /** Left to spend. What live streams have set aside for their next moments is not in it. */
  readonly balanceMsat: Msat;
  /** What live streams have set aside, msat; absent when the gateway does not say. */
  readonly reservedMsat?: Msat;
  /** What the account's live streams take together, msat a second; absent when the gateway does not say. */
  readonly rateMsatPerSec?: number;
  /** Unix seconds: what is left is lost after it. */
  readonly expiresAtSec?: number;
  /** By the client's clock. */
  readonly atMs: number;
}

/** How a price for something that is counted is charged, as a gateway writes it (`100msat/1s`, `1000msat/1000B`). */
export interface MeteredRate {
  readonly amountMsat: number;
  readonly per: number;
  readonly unit: 'second' | 'byte' | 'event' | 'unit';
}

const UNITS: Readonly<Record<string, MeteredRate['unit']>> = { s: 'second', B: 'byte', event: 'event' };

/** Reads the canonical form of a metered price; `undefined` for every other price. */
export function readMeteredRate(price: string | null | undefined): MeteredRate | undefined {
  const match = /^(\d{1,15})msat\/(\d{1,15})(?:(s|B|event)|unit:[a-z][a-z-]{0,31})$/.exec(price ?? '');
  const [, amount, per, unit = ''] = match ?? [];
  if (match === null || Number(per) === 0) return undefined;
  return { amountMsat: Number(amount), per: Number(per), unit: UNITS[unit] ?? 'unit' };
}

/** Msat a second of a price by time; `undefined` for what is charged otherwise. */
export function perSecond(rate: MeteredRate | undefined): number | undefined {
  return rate?.unit === 'second' ? rate.amountMsat / rate.per : undefined;
}

/** The fields of an answer that are known here. */
export interface AnsweredAccount {
  readonly balanceMsat?: unknown;
  readonly reservedMsat?: unknown;
  readonly rateMsatPerSecond?: unknown;
  readonly expiresAt?: unknown;
}

/**
 * Reads what a gateway answers about an account: the fields that this client knows, when they make sense.
 * @returns `undefined` without a balance: then nothing is known.
 */
export function readAccountReport(answer: AnsweredAccount, nowMs: number): AccountReport | undefined {
  const balanceMsat = toMsat(answer.balanceMsat);
  if (balanceMsat === undefined) return undefined;
  const reservedMsat = toMsat(answer.reservedMsat);
  const rate = answer.rateMsatPerSecond;
  const expiresAtSec = toSeconds(answer.expiresAt);
  return {
    balanceMsat,
    ...(reservedMsat === undefined ? {} : { reservedMsat }),
    ...(typeof rate === 'number' && Number.isFinite(rate) && rate >= 0 ? { rateMsatPerSec: rate } : {}),
    ...(expiresAtSec === undefined ? {} : { expiresAtSec }),
    atMs: nowMs,
  };
}

/** The JSON object in the data of an event; an empty one when it holds none. */
export function readEventData(data: string): AnsweredAccount & { readonly cutBy?: unknown } {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function toMsat(value: unknown): Msat | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? msat(value) : undefined;
}

function toSeconds(value: unknown): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : undefined;
}
