import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chooseChallenge, parseChallenges } from '../../client/index.ts';

const first = { scheme: 'L402', macaroon: 'AgEE+/==', invoice: 'lnbcrt1x' };

describe('parseChallenges', () => {
  it('reads the line of the wire form', () => {
    const line = 'L402 macaroon="AgEE+/==", invoice="lnbcrt1x", version="0", token="AgEE+/=="';
    assert.deepEqual(parseChallenges(line), [first]);
  });

  it('reads unquoted values, any order, any case, and no commas', () => {
    assert.deepEqual(parseChallenges('l402 version=0, invoice=lnbcrt1x, macaroon=AgEE+/=='), [first]);
    assert.deepEqual(parseChallenges('L402 macaroon="AgEE+/==" invoice="lnbcrt1x"'), [first]);
    assert.deepEqual(parseChallenges('L402 MACAROON = "AgEE+/==" ,INVOICE ="lnbcrt1x"'), [first]);
    assert.deepEqual(parseChallenges('L402 version="0", token="AgEE+/==", invoice="lnbcrt1x"'), [first]);
  });

  it('reads several challenges in one value and in several, and skips other schemes', () => {
    const joined =
      'Negotiate YII=, Basic realm="a, L402 b", LSAT macaroon="AA", invoice="lnbc1", Payment id="x", ' +
      'L402 macaroon="AgEE+/==", invoice="lnbcrt1x"';
    const lsat = { scheme: 'LSAT', macaroon: 'AA', invoice: 'lnbc1' };
    assert.deepEqual(parseChallenges(joined), [lsat, first]);
    assert.deepEqual(
      parseChallenges(joined.split(', LSAT').map((part, at) => (at === 0 ? part : `LSAT${part}`))),
      [lsat, first],
    );
    assert.deepEqual(chooseChallenge(parseChallenges(joined)), first);
    assert.deepEqual(chooseChallenge([lsat as never]), lsat);
    assert.equal(chooseChallenge([]), undefined);
  });

  it('has nothing to say about an absent, incomplete or broken header', () => {
    for (const text of [
      null,
      '',
      'L402',
      'L402 macaroon="AA"',
      'L402 invoice="lnbc1"',
      'L402 macaroon="AA", invoice="lnbc1',
      'macaroon="AA", invoice="lnbc1"',
      'L402 macaroon="AA\\"\r\nX: y", invoice="lnbc1"',
      'L402 macaroon="AA:BB", invoice="lnbc1"',
      `L402 macaroon="${'A'.repeat(20_000)}", invoice="lnbc1"`,
      `L402 macaroon="AA", invoice="${'l'.repeat(9_000)}"`,
    ]) {
      assert.deepEqual(parseChallenges(text), [], String(text).slice(0, 60));
    }
  });

  it('reads no more than 32 challenges', () => {
    const many = Array.from({ length: 200 }, () => 'L402 macaroon=AA, invoice=lnbc1').join(', ');
    assert.ok(parseChallenges([many, many]).length <= 64);
  });

  it('never throws, and gives back only what may stand in a header', () => {
    const piece = fc.constantFrom(
      'L402',
      'LSAT',
      ' ',
      ',',
      '=',
      '"',
      '\\',
      'macaroon',
      'invoice',
      'AA==',
      'lnbc1',
      '\r\n',
    );
    const text = fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 40 });
    fc.assert(
      fc.property(text, (parts) => {
        for (const { macaroon, invoice } of parseChallenges(parts.join(''))) {
          assert.match(macaroon, /^[A-Za-z0-9+/_=-]+$/);
          assert.match(invoice, /^[A-Za-z0-9]+$/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
