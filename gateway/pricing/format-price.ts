import { msat } from '../../node/msat.ts';
import type { MeteredUnit, Price } from './price.ts';
import { PriceError } from './price-error.ts';

const UNIT_SUFFIX = { second: 's', byte: 'B', event: 'event', unit: 'unit' } as const;

/**
 * The canonical text of a price, which the signed `_price` caveat holds: `10000msat/call`, `500000msat/100calls`,
 * `1000000msat/86400s-pass`, `100msat/1s`, `1000msat/1000B`, `5000msat/1event`, `3000msat/1000unit:tokens`, `200000uUSD/call`,
 * `free`. No space, comma, `=` or `|`.
 */
export function formatPrice(price: Price): string {
  switch (price.kind) {
    case 'free':
      return 'free';
    case 'call':
      return `${price.amountMsat}msat/call`;
    case 'bundle':
      return `${price.totalMsat}msat/${price.calls}calls`;
    case 'pass':
      return `${price.amountMsat}msat/${price.durationSec}s-pass`;
    case 'metered': {
      const name = price.unit === 'unit' ? `:${price.unitName}` : '';
      return `${price.amountMsat}msat/${price.per}${UNIT_SUFFIX[price.unit]}${name}`;
    }
    case 'fiat':
      return `${price.microUnits}u${price.currency}/call`;
  }
}

const METERED = /^(\d{1,16})msat\/(\d{1,16})(?:(s|B|event)|unit:([a-z][a-z-]{0,31}))$/;
const CANONICAL_UNITS: ReadonlyMap<string, MeteredUnit> = new Map([
  ['s', 'second'],
  ['B', 'byte'],
  ['event', 'event'],
]);

/**
 * The strict inverse of {@link formatPrice}: what it accepts formats to the same text again.
 * @throws PriceError for every other text.
 */
export function parseCanonicalPrice(text: string): Price {
  const price = text.length > 100 ? undefined : readCanonical(text);
  if (price === undefined || formatPrice(price) !== text) {
    throw new PriceError('this is not a canonical price', '10000msat/call');
  }
  return price;
}

function readCanonical(text: string): Price | undefined {
  if (text === 'free') return { kind: 'free' };
  let match = /^(\d{1,16})msat\/(?:call|(\d{1,16})(calls|s-pass))$/.exec(text);
  if (match !== null) return readSat(positive(match[1]), positive(match[2]), match[3]);
  match = /^(\d{1,16})u([A-Z]{3})\/call$/.exec(text);
  if (match !== null) {
    const microUnits = positive(match[1]);
    return microUnits === undefined ? undefined : { kind: 'fiat', microUnits, currency: match[2] ?? '' };
  }
  match = METERED.exec(text);
  const amount = positive(match?.[1]);
  const per = positive(match?.[2]);
  if (match === null || amount === undefined || per === undefined) return undefined;
  const unit = CANONICAL_UNITS.get(match[3] ?? '') ?? 'unit';
  return { kind: 'metered', amountMsat: msat(amount), per, unit, unitName: match[4] ?? unit };
}

function readSat(
  amount: number | undefined,
  count: number | undefined,
  form: string | undefined,
): Price | undefined {
  if (amount === undefined) return undefined;
  if (form === undefined) return { kind: 'call', amountMsat: msat(amount) };
  if (count === undefined) return undefined;
  if (form === 's-pass') return { kind: 'pass', amountMsat: msat(amount), durationSec: count };
  if (amount % count !== 0) return undefined;
  return { kind: 'bundle', totalMsat: msat(amount), calls: count, perCallMsat: msat(amount / count) };
}

function positive(digits: string | undefined): number | undefined {
  const value = Number(digits);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
