import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createBudget, msat, PaymentError, sats } from '../../client/index.ts';

const ZERO = msat(0);

describe('a budget', () => {
  it('allows what fits and lowers the fee to what is left', () => {
    const budget = createBudget({ perRequestMsat: sats(10) });
    assert.equal(
      budget.reserve({ amountMsat: sats(8), wantedFeeMsat: sats(1), alreadyMsat: ZERO }).maxFeeMsat,
      1_000,
    );
    assert.equal(
      budget.reserve({ amountMsat: sats(8), wantedFeeMsat: sats(5), alreadyMsat: ZERO }).maxFeeMsat,
      2_000,
    );
    assert.equal(
      budget.reserve({ amountMsat: sats(10), wantedFeeMsat: sats(5), alreadyMsat: ZERO }).maxFeeMsat,
      0,
    );
  });

  it('refuses what is over the limit of a request, with what the request bought before', () => {
    const budget = createBudget({ perRequestMsat: sats(10) });
    const reserve = (): unknown =>
      budget.reserve({ amountMsat: sats(6), wantedFeeMsat: ZERO, alreadyMsat: sats(5) });
    assert.throws(
      reserve,
      (error) =>
        error instanceof PaymentError &&
        error.code === 'over-budget' &&
        /5 sat is left for this request/.test(error.message),
    );
    assert.equal(budget.committedMsat(), 0);
  });

  it('gives back what was released or not spent, once', () => {
    const budget = createBudget({ perRequestMsat: sats(10), totalMsat: sats(10) });
    const first = budget.reserve({ amountMsat: sats(5), wantedFeeMsat: sats(2), alreadyMsat: ZERO });
    assert.equal(budget.committedMsat(), 7_000);
    first.commit(sats(6));
    first.release();
    first.commit(sats(6));
    assert.equal(budget.committedMsat(), 6_000);
  });

  it('never commits more than its total, in whatever order money is reserved, spent and released', () => {
    const step = fc.record({
      amount: fc.nat(40),
      fee: fc.nat(5),
      end: fc.constantFrom('commit', 'release', 'hold'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const budget = createBudget({ perRequestMsat: sats(30), totalMsat: sats(100) });
        for (const { amount, fee, end } of steps) {
          try {
            const reservation = budget.reserve({
              amountMsat: sats(amount),
              wantedFeeMsat: sats(fee),
              alreadyMsat: ZERO,
            });
            if (end === 'commit') reservation.commit(sats(amount));
            if (end === 'release') reservation.release();
          } catch (error) {
            assert.ok(error instanceof PaymentError);
          }
          assert.ok(budget.committedMsat() <= 100_000);
        }
      }),
    );
  });
});
