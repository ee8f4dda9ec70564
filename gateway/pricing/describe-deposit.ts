import type { Msat } from '../../node/msat.ts';
import type { MeteredPrice } from './price.ts';

/** What an amount buys at a metered price, rounded down, for people: `16 minutes 40 seconds`, `10 MB`, `33333 tokens`. */
export function describeBought(price: MeteredPrice, amountMsat: Msat): string {
  // Thousandths, so that less than a second is not shown as nothing.
  const thousandths = (BigInt(amountMsat) * BigInt(price.per) * 1_000n) / BigInt(price.amountMsat);
  const whole = Number(thousandths / 1_000n);
  switch (price.unit) {
    case 'second':
      return whole < 1 ? `${thousandths} ms` : timeText(whole);
    case 'byte':
      return sizeText(whole);
    case 'event':
      return counted(whole, 'event');
    case 'unit':
      return `${whole} ${price.unitName}`;
  }
}

const TIMES = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const;

/** The two largest units: nobody needs the seconds of a week. */
function timeText(seconds: number): string {
  const first = TIMES.findIndex(([size]) => seconds >= size);
  const [size, name] = TIMES[first] ?? [1, 'second'];
  const next = TIMES[first + 1];
  const most = counted(Math.floor(seconds / size), name);
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[0]);
  return next === undefined || rest === 0 ? most : `${most} ${counted(rest, next[1])}`;
}

function sizeText(bytes: number): string {
  for (const [size, name] of [
    [1_000_000_000, 'GB'],
    [1_000_000, 'MB'],
    [1_000, 'KB'],
  ] as const) {
    if (bytes >= size) return `${Math.floor((bytes * 100) / size) / 100} ${name}`;
  }
  return counted(bytes, 'byte');
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
