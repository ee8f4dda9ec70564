import { msat } from '../node/msat.ts';
import { pruneRecords, putRecord, type TokenRecord, type TokenStore, updateRecord } from './token-store.ts';

/** Where a page keeps its tokens. */
export interface StorageTokenStoreOptions {
  /** `localStorage`, or `sessionStorage` for one tab. Every script of the origin can read it. */
  readonly storage: Pick<Storage, 'getItem' | 'setItem'>;
  /** Default `sluice-tokens`. */
  readonly key?: string;
  readonly nowMs?: () => number;
}

/**
 * A token store in the storage of a browser. Each verb reads, changes and writes at once, so that nothing of the same page comes
 * between; what can't be read any more is put aside under `<key>-damaged` and never overwritten.
 */
export function createStorageTokenStore(options: StorageTokenStoreOptions): TokenStore {
  const { storage, key = 'sluice-tokens', nowMs = Date.now } = options;
  const read = (): readonly TokenRecord[] => {
    const text = storage.getItem(key);
    if (text === null) return [];
    const records = parseRecords(text);
    if (records !== undefined) return records;
    storage.setItem(`${key}-damaged-${nowMs()}`, text);
    storage.setItem(key, '[]');
    return [];
  };
  const change = (edit: (records: readonly TokenRecord[]) => readonly TokenRecord[]): void => {
    storage.setItem(key, JSON.stringify(pruneRecords(edit(read()), nowMs())));
  };
  return {
    list: async (origin) => read().filter((record) => record.origin === origin),
    put: async (record) => change((records) => putRecord(records, record)),
    update: async (paymentHash, edit) => change((records) => updateRecord(records, paymentHash, edit)),
  };
}

function parseRecords(text: string): readonly TokenRecord[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return undefined;
    const records = value
      .filter(isRecord)
      .map((record) => ({ ...record, amountMsat: msat(record.amountMsat) }));
    return records.length === value.length ? records : undefined;
  } catch {
    return undefined;
  }
}

const TEXTS = ['origin', 'service', 'macaroon', 'invoice'] as const;
const NUMBERS = ['amountMsat', 'invoiceExpiresAtSec', 'createdAtMs'] as const;

function isRecord(value: unknown): value is TokenRecord {
  if (typeof value !== 'object' || value === null) return false;
  const field = (name: string): unknown => Reflect.get(value, name);
  const state = field('state');
  const kind: unknown = typeof state === 'object' && state !== null ? Reflect.get(state, 'kind') : undefined;
  const preimage: unknown =
    typeof state === 'object' && state !== null ? Reflect.get(state, 'preimage') : undefined;
  return (
    isHex64(field('paymentHash')) &&
    TEXTS.every((name) => typeof field(name) === 'string') &&
    NUMBERS.every((name) => Number.isSafeInteger(field(name))) &&
    Array.isArray(field('scopes')) &&
    (field('scheme') === 'L402' || field('scheme') === 'LSAT') &&
    (kind === 'pending' || ((kind === 'ready' || kind === 'spent') && isHex64(preimage)))
  );
}

function isHex64(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
