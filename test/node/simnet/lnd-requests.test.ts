import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  readAddHold,
  readAddInvoice,
  readBase64Hash,
  readCancel,
  readHexHash,
  readPage,
  readSendPayment,
  readSettle,
} from '../../../node/simnet/lnd-requests.ts';
import { SimnetRefusal } from '../../../node/simnet/types.ts';

test('64-bit integers may be strings or numbers, names in either spelling', () => {
  const read = { amountMsat: 10_000, memo: 'quote', expirySec: 60 };
  assert.deepEqual(readAddInvoice({ value: '10', memo: 'quote', expiry: '60' }), read);
  assert.deepEqual(readAddInvoice({ valueMsat: 10_000, memo: 'quote', expiry: 60 }), read);
});

test('an invoice without an expiry lives a day, as with LND', () => {
  assert.equal(readAddInvoice({}).expirySec, 86_400);
});

test('a payment hash in a path must be padded base64 of 32 bytes, in either alphabet', () => {
  const hash = 'fb'.repeat(32);
  const bytes = Buffer.from(hash, 'hex');
  assert.equal(readBase64Hash(bytes.toString('base64'), 'r_hash'), hash);
  assert.equal(readBase64Hash(`${bytes.toString('base64url')}=`, 'payment_hash'), hash);
  for (const wrong of [bytes.toString('base64url'), 'AAAA', '', '!', `${'A'.repeat(44)}`]) {
    assert.throws(() => readBase64Hash(wrong, 'r_hash'), SimnetRefusal);
  }
});

test('whatever is sent is read or refused, never anything else', () => {
  const names = fc.constantFrom(
    'value',
    'value_msat',
    'memo',
    'r_preimage',
    'expiry',
    'payment_request',
    'dest',
    'payment_addr',
    'amt',
    'payment_hash',
    'hash',
    'preimage',
    'description_hash',
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(names, fc.oneof(fc.jsonValue(), fc.bigInt().map(String))),
  );
  const page = (text: string) => readPage(new URLSearchParams(text), 'max_payments', 100);
  const readers = [readAddInvoice, readAddHold, readSendPayment, readCancel, readSettle];
  fc.assert(
    fc.property(body, fc.string(), fc.webQueryParameters(), (json, text, query) => {
      for (const read of readers) refusedOrRead(() => read(json));
      refusedOrRead(() => readHexHash(text));
      refusedOrRead(() => readBase64Hash(text, 'r_hash'));
      refusedOrRead(() => page(query));
      refusedOrRead(() => page(`index_offset=${encodeURIComponent(text)}`));
    }),
    { numRuns: 500 },
  );
});

function refusedOrRead(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SimnetRefusal, String(error));
  }
}
