import { type Msat, msat } from '../../node/msat.ts';
import { L402Error } from './errors.ts';

/** What a macaroon sells, as it was minted. */
export interface Terms {
  /** `[a-z0-9-]+` */
  readonly service: string;
  /** `all`, or names separated by commas. */
  readonly capabilities: string;
  /** Unix seconds. */
  readonly validUntilSec: number;
  /** 64 lower-case hex digits. */
  readonly accountId: string;
  /** What the payment credits; 0 for a pass. */
  readonly creditMsat: Msat;
  /** The price in canonical text: what was bought is served at it. */
  readonly price: string;
}

/** Why the caveats of a macaroon with a good signature are refused all the same. */
export type TermsRefusal =
  /** It does not begin with our terms, in our order and form. */
  | 'no-terms'
  /** `services`, an account, credit, price or another condition with our service's prefix was appended. */
  | 'appended-terms'
  /** An appended expiry or capability list says more than the one before it, or can't be read. */
  | 'widened'
  /** An appended `preimage=` is not 64 hex digits, or two of them differ. */
  | 'bad-preimage';

/** What {@link readTerms} found. */
export type TermsReading =
  | {
      readonly kind: 'terms';
      readonly minted: Terms;
      /** Unix seconds: when the holder can't use it any more; at most the minted expiry. */
      readonly validUntilSec: number;
      /** What the holder may use; at most the minted capabilities. */
      readonly capabilities: string;
      /** From an appended `preimage=`: 64 lower-case hex digits. It must pass the same test as one of the header. */
      readonly preimage?: string;
      /** A caveat other than `preimage=` was appended: such a token must not buy for, or widen, its account. */
      readonly narrowed: boolean;
    }
  | { readonly kind: 'refused'; readonly reason: TermsRefusal };

/** The capabilities of a token that may use everything. */
export const ALL_CAPABILITIES = 'all';

const PREFIX_LENGTH = 6;
/** Caveats that a holder may append; one that needs more would have us compute a stranger's chain of any length. */
export const MAX_APPENDED_CAVEATS = 16;
/** Caveats of a token of ours, with all that a holder may append: a longer one is refused before its signature is computed. */
export const MAX_TOKEN_CAVEATS = PREFIX_LENGTH + MAX_APPENDED_CAVEATS;
const SERVICE = /^[a-z0-9-]+$/;
const CAPABILITIES = /^[\x21-\x2b\x2d-\x7e]+(?:,[\x21-\x2b\x2d-\x7e]+)*$/;
const PRICE = /^\P{Cc}+$/u;
const ACCOUNT = /^[0-9a-f]{64}$/;
const PREIMAGE = /^[0-9a-fA-F]{64}$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/** Whether a text can be a `_capabilities` value: names of visible ASCII, separated by single commas. */
export function isCapabilities(value: string): boolean {
  return CAPABILITIES.test(value);
}

/**
 * Writes terms as the ordered prefix of caveats that every macaroon of ours begins with.
 * @throws L402Error `bad-terms` when {@link readTerms} would not read the same terms back
 */
export function termsToCaveats(terms: Terms): string[] {
  const { service, capabilities, validUntilSec, accountId, creditMsat, price } = terms;
  if (!SERVICE.test(service)) throw badTerms('the service name may have a-z, 0-9 and - only');
  if (!isCapabilities(capabilities)) throw badTerms('capabilities are names separated by commas');
  if (!isWholeNumber(validUntilSec)) throw badTerms('the expiry must be whole Unix seconds');
  if (!ACCOUNT.test(accountId)) throw badTerms('an account id has 64 lower-case hex digits');
  if (!isWholeNumber(creditMsat)) throw badTerms('the credit must be whole msat');
  if (!PRICE.test(price) || !price.isWellFormed()) throw badTerms('the price must be a line of text');
  return [
    `services=${service}:0`,
    `${service}_capabilities=${capabilities}`,
    `${service}_valid_until=${validUntilSec}`,
    `${service}_account=${accountId}`,
    `${service}_credit_msat=${creditMsat}`,
    `${service}_price=${price}`,
  ];
}

/**
 * Reads the terms of a macaroon whose signature held; before that, caveats mean nothing. Terms are read from the minted
 * prefix and by position only. Behind it a holder may narrow (an earlier expiry, fewer capabilities, conditions that we
 * don't know, which are ignored) and may carry `preimage=`. Everything else about our service is refused: a holder could
 * spend a victim's account, or turn a pass into credit.
 */
export function readTerms(caveats: readonly string[]): TermsReading {
  const minted = readPrefix(caveats);
  if (minted === undefined) return { kind: 'refused', reason: 'no-terms' };
  let { validUntilSec, capabilities } = minted;
  let preimage: string | undefined;
  let narrowed = false;
  for (const caveat of caveats.slice(PREFIX_LENGTH)) {
    const { condition, value } = splitCaveat(caveat);
    if (condition === 'preimage') {
      const sent = PREIMAGE.test(value) ? value.toLowerCase() : undefined;
      if (sent === undefined || (preimage ?? sent) !== sent)
        return { kind: 'refused', reason: 'bad-preimage' };
      preimage = sent;
      continue;
    }
    narrowed = true;
    if (condition === `${minted.service}_valid_until`) {
      const earlier = readWholeNumber(value);
      if (earlier === undefined || earlier > validUntilSec) return { kind: 'refused', reason: 'widened' };
      validUntilSec = earlier;
    } else if (condition === `${minted.service}_capabilities`) {
      if (!isNarrowerList(value, capabilities)) return { kind: 'refused', reason: 'widened' };
      capabilities = value;
    } else if (isOurs(condition, minted.service)) {
      return { kind: 'refused', reason: 'appended-terms' };
    }
  }
  const holder = preimage === undefined ? {} : { preimage };
  return { kind: 'terms', minted, validUntilSec, capabilities, narrowed, ...holder };
}

/** The first six caveats as terms; `undefined` unless they are to the letter what {@link termsToCaveats} writes. */
function readPrefix(caveats: readonly string[]): Terms | undefined {
  const service = /^services=([a-z0-9-]+):0$/.exec(caveats[0] ?? '')?.[1];
  if (service === undefined) return undefined;
  const capabilities = valueAt(caveats, 1, `${service}_capabilities=`);
  const validUntilSec = readWholeNumber(valueAt(caveats, 2, `${service}_valid_until=`));
  const accountId = valueAt(caveats, 3, `${service}_account=`);
  const creditMsat = readWholeNumber(valueAt(caveats, 4, `${service}_credit_msat=`));
  const price = valueAt(caveats, 5, `${service}_price=`);
  if (validUntilSec === undefined || creditMsat === undefined) return undefined;
  if (!CAPABILITIES.test(capabilities) || !ACCOUNT.test(accountId) || !PRICE.test(price)) return undefined;
  return { service, capabilities, validUntilSec, accountId, creditMsat: msat(creditMsat), price };
}

/** What follows `start` in the caveat at a position; an empty text, which no term is, when it does not start so. */
function valueAt(caveats: readonly string[], position: number, start: string): string {
  const caveat = caveats[position];
  return caveat?.startsWith(start) ? caveat.slice(start.length) : '';
}

function splitCaveat(caveat: string): { condition: string; value: string } {
  const equals = caveat.indexOf('=');
  if (equals === -1) return { condition: caveat, value: '' };
  return { condition: caveat.slice(0, equals), value: caveat.slice(equals + 1) };
}

/** Also true for ` API_account` and the like: a holder who wrote that meant ours, and ignoring it would mislead. */
function isOurs(condition: string, service: string): boolean {
  const plain = condition.trim().toLowerCase();
  return plain === 'services' || plain.startsWith(`${service}_`);
}

function isNarrowerList(list: string, before: string): boolean {
  if (!CAPABILITIES.test(list)) return false;
  const allowed = new Set(before.split(','));
  return allowed.has(ALL_CAPABILITIES) || list.split(',').every((name) => allowed.has(name));
}

/** Canonical decimal only: no sign, no leading zero, no exponent, and a safe integer. */
function readWholeNumber(value: string): number | undefined {
  if (!DECIMAL.test(value)) return undefined;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : undefined;
}

function isWholeNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function badTerms(why: string): L402Error {
  return new L402Error('bad-terms', `These terms can't be written into a macaroon: ${why}.`);
}
