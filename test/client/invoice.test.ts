import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeInvoice, InvoiceFormatError } from '../../client/index.ts';
import { signInvoice } from './support.ts';

const HASH = '0001020304050607080900010203040506070809000102030405060708090102';

describe('decodeInvoice', () => {
  // The examples of BOLT 11, section "Examples".
  it('decodes the donation of BOLT 11, which has no amount', () => {
    const decoded = decodeInvoice(
      'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql',
    );
    assert.deepEqual(decoded, {
      network: 'mainnet',
      paymentHash: HASH,
      createdAtSec: 1_496_314_658,
      expiresAtSec: 1_496_314_658 + 3_600,
      description: 'Please consider supporting this project',
    });
  });

  it('decodes the cup of coffee of BOLT 11, in both cases', () => {
    const text =
      'lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh';
    for (const invoice of [text, text.toUpperCase()]) {
      const { amountMsat, description, expiresAtSec } = decodeInvoice(invoice);
      assert.deepEqual(
        [amountMsat, description, expiresAtSec],
        [250_000_000, '1 cup coffee', 1_496_314_658 + 60],
      );
    }
  });

  it('agrees with the bolt11 package on every network and amount', () => {
    const network = fc.constantFrom('mainnet', 'testnet', 'signet', 'regtest');
    const text = fc.string({ unit: 'grapheme', maxLength: 60 });
    const property = fc.property(
      network,
      fc.integer({ min: 1, max: 2 ** 40 }),
      text,
      (net, amountMsat, memo) => {
        const terms = {
          network: net,
          amountMsat,
          memo,
          paymentHash: HASH,
          createdAtSec: 1_700_000_000,
        } as const;
        assert.deepEqual(decodeInvoice(signInvoice({ ...terms, expirySec: 77 })), {
          network: net,
          amountMsat,
          paymentHash: HASH,
          createdAtSec: 1_700_000_000,
          expiresAtSec: 1_700_000_077,
          description: memo,
        });
      },
    );
    fc.assert(property, { numRuns: 40 });
  });

  it('refuses what BOLT 11 calls invalid', () => {
    for (const [text, why] of [
      // "Examples of Invalid Invoices": checksum, no separator, mixed case, multiplier, sub-millisatoshi.
      [
        'lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrnt',
        /checksum/,
      ],
      [
        'pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrny',
        /bech32/,
      ],
      [
        'LNBC2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrny',
        /bech32/,
      ],
      ['', /bech32/],
      ['lnbc1', /bech32/],
      [`lnbc1${'q'.repeat(9_000)}`, /too long/],
    ] as const) {
      assert.throws(
        () => decodeInvoice(text),
        (error) => error instanceof InvoiceFormatError && why.test(error.message),
      );
    }
  });

  it('never throws anything but its own error, however a good invoice is bent', () => {
    const good = signInvoice({ paymentHash: HASH, amountMsat: 1_000 });
    const bent = fc.tuple(fc.nat(good.length), fc.nat(good.length), fc.string({ maxLength: 5 }));
    fc.assert(
      fc.property(bent, ([from, to, put]) => {
        try {
          decodeInvoice(good.slice(0, from) + put + good.slice(to));
        } catch (error) {
          assert.ok(error instanceof InvoiceFormatError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
