import type { Price } from './price.ts';

/** What this build sells. A kind moves into this list when its flow is there; nothing else decides it. */
const SELLABLE: ReadonlySet<Price['kind']> = new Set<Price['kind']>([
  'free',
  'call',
  'bundle',
  'pass',
  'metered',
]);

const WHY_NOT: Partial<Record<Price['kind'], string>> = {
  fiat: 'this version has no exchange rates yet: write the price in sat (`10 sat`)',
};

/** Why a price can't be sold by this version, and what to write instead; `undefined` when it can. */
export function whyNotSellable(price: Price): string | undefined {
  if (SELLABLE.has(price.kind)) return undefined;
  return WHY_NOT[price.kind] ?? `this version does not sell ${price.kind} prices`;
}
