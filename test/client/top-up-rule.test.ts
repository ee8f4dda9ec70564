import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { perSecond, readAccountReport, readMeteredRate } from '../../client/account-report.ts';
import { completeRule, createPace, topUpDueInMs } from '../../client/top-up-rule.ts';
import { msat, sats } from '../../node/msat.ts';

const report = (balance: number, atMs: number, rateMsatPerSec?: number) => ({
  balanceMsat: msat(balance),
  atMs,
  ...(rateMsatPerSec === undefined ? {} : { rateMsatPerSec }),
});

describe('readMeteredRate', () => {
  it('reads the canonical prices of what is counted, and no others', () => {
    assert.deepEqual(readMeteredRate('100msat/1s'), { amountMsat: 100, per: 1, unit: 'second' });
    assert.deepEqual(readMeteredRate('1000msat/1000B'), { amountMsat: 1_000, per: 1_000, unit: 'byte' });
    assert.deepEqual(readMeteredRate('3000msat/1000unit:tokens'), {
      amountMsat: 3_000,
      per: 1_000,
      unit: 'unit',
    });
    for (const other of [
      null,
      '',
      'free',
      '10000msat/call',
      '100msat/10calls',
      '1000msat/60s-pass',
      '1msat/0s',
      ' 1msat/1s',
    ]) {
      assert.equal(readMeteredRate(other), undefined, String(other));
    }
    assert.equal(perSecond(readMeteredRate('360000msat/3600s')), 100);
    assert.equal(perSecond(readMeteredRate('10msat/1000B')), undefined);
  });
});

describe('readAccountReport', () => {
  it('takes what makes sense of an answer', () => {
    const answer = { balanceMsat: 5, rateMsatPerSecond: 100.5, expiresAt: '2030-01-01T00:00:00Z', other: 1 };
    assert.deepEqual(readAccountReport(answer, 7), {
      balanceMsat: 5,
      rateMsatPerSec: 100.5,
      expiresAtSec: 1_893_456_000,
      atMs: 7,
    });
    assert.deepEqual(
      readAccountReport({ balanceMsat: 5, rateMsatPerSecond: -1, expiresAt: 'soon' }, 7),
      report(5, 7),
    );
    // A pass has no balance.
    for (const balanceMsat of [null, undefined, -1, 0.5, '5', 2 ** 53, Number.NaN]) {
      assert.equal(readAccountReport({ balanceMsat }, 7), undefined);
    }
  });
});

describe('a rule', () => {
  it('asks for a top-up when the money lasts for less than it says', () => {
    const rule = completeRule({}, sats(60), 100);
    const pace = createPace(100);
    assert.deepEqual(rule, { belowMs: 15_000, belowMsat: 0, amountMsat: 60_000 });
    assert.equal(topUpDueInMs(rule, report(1_500, 0), pace, 0), 0);
    assert.equal(topUpDueInMs(rule, report(1_600, 0), pace, 0), 1_000);
    assert.equal(topUpDueInMs(rule, report(1_600, 0), pace, 400), 600, 'what was spent since is counted');
    assert.equal(topUpDueInMs({ ...rule, belowMsat: sats(5) }, report(4_999, 0), pace, 0), 0);
  });

  it('follows the word of the gateway about all streams of the account', () => {
    const rule = completeRule({}, sats(60), 100);
    const pace = createPace(100);
    pace.note(report(10_000, 0, 300));
    assert.equal(topUpDueInMs(rule, report(4_500, 0), pace, 0), 0);
    assert.equal(pace.msatPerSec(), 300);
    pace.note(report(10_000, 0, 0));
    assert.equal(pace.msatPerSec(), 100, 'the stream itself lives');
  });

  it('for what is not charged by time goes by a fifth of a top-up, and by what was seen', () => {
    const rule = completeRule({}, sats(10), undefined);
    const pace = createPace(undefined);
    assert.equal(topUpDueInMs(rule, report(2_000, 0), pace, 0), 0);
    assert.equal(topUpDueInMs(rule, report(2_001, 0), pace, 0), Number.POSITIVE_INFINITY);
    pace.note(report(9_000, 0));
    pace.note(report(8_000, 2_000));
    assert.equal(pace.msatPerSec(), 500);
    assert.equal(topUpDueInMs(rule, report(7_500, 2_000), pace, 2_000), 0);
    assert.equal(topUpDueInMs(rule, report(8_000, 2_000), pace, 2_000), 1_000);
  });

  it('is not carried away by a burst: with as much as a top-up adds there is no need', () => {
    const rule = completeRule({}, sats(10), undefined);
    const pace = createPace(undefined);
    pace.note(report(900_000, 0));
    pace.note(report(15_000, 1_000));
    assert.equal(topUpDueInMs(rule, report(15_000, 1_000), pace, 1_000) > 0, true);
    assert.equal(topUpDueInMs(rule, report(10_000, 1_000), pace, 1_000) > 0, true);
    assert.equal(topUpDueInMs(rule, report(9_999, 1_000), pace, 1_000), 0);
  });

  it('does not take a top-up for a pace, and measures anew after it', () => {
    const pace = createPace(undefined);
    pace.note(report(1_000, 0));
    pace.note(report(50_000, 1_000));
    assert.equal(pace.msatPerSec(), undefined);
    pace.note(report(49_000, 2_000));
    assert.equal(pace.msatPerSec(), 1_000);
  });
});
