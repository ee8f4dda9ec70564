import { type Msat, msat } from '../../node/msat.ts';
import { UsageError } from './exit-codes.ts';

/** An amount that a person wrote in sat, with up to three decimals. @throws UsageError */
export function parseSats(option: string, text: string): Msat {
  const [, whole = '', decimals = ''] = /^(\d{1,10})(?:\.(\d{1,3}))?$/.exec(text) ?? [];
  if (whole === '') {
    throw new UsageError(`${option} takes an amount in sat, such as 100 or 0.5; "${text}" is none.`);
  }
  return msat(Number(whole) * 1000 + Number(decimals.padEnd(3, '0')));
}
