import { checkAttempt, checkAttemptEnd, checkAttemptName, checkSpend } from '../check-input.ts';
import {
  type AttemptName,
  type AttemptOutcome,
  MAX_FREE_RETRIES,
  type Refusal,
  type Spend,
  type SpendOutcome,
  type Store,
  StoreError,
} from '../store.ts';
import { amountAt, kindOf, type Words, wordsOf } from './answers.ts';
import type { Engine } from './engine.ts';
import { whileStale } from './while-stale.ts';

type Debits = Pick<
  Store,
  'spend' | 'voidSpend' | 'refundSpend' | 'beginAttempt' | 'endAttempt' | 'voidAttempt'
>;

/** Debits and how they are taken back: one script each, in the account's slot. */
export function debits(engine: Engine): Debits {
  return { ...spends(engine), ...attempts(engine) };
}

function spends(engine: Engine): Pick<Debits, 'spend' | 'voidSpend' | 'refundSpend'> {
  const { keys } = engine;
  const run = async (
    script: 'spend' | 'void-spend' | 'refund-spend',
    { accountId, key, amountMsat }: Spend,
  ): Promise<Words> => {
    const names = [keys.account(accountId), keys.spend(accountId, key)];
    return wordsOf(await engine.run(script, ...names, engine.clock(), String(amountMsat)));
  };
  return {
    spend: async (asked) => {
      checkSpend(asked);
      return engine.verb('spend', async () =>
        spendOutcome(await whileStale(engine, asked.accountId, () => run('spend', asked))),
      );
    },
    voidSpend: async (asked) => {
      checkSpend(asked);
      return engine.verb('voidSpend', async () => {
        const words = checkSame(await run('void-spend', asked));
        return { kind: kindOf(words, ['voided', 'repeated', 'unknown']) };
      });
    },
    refundSpend: async (asked) => {
      checkSpend(asked);
      return engine.verb('refundSpend', async () => {
        const words = checkSame(await run('refund-spend', asked));
        const kind = kindOf(words, ['refunded', 'repeated', 'unknown-account', 'never-spent']);
        if (kind !== 'never-spent') return { kind };
        throw new StoreError('invalid', 'More is to be given back than was ever spent; nothing was changed.');
      });
    },
  };
}

function attempts(engine: Engine): Pick<Debits, 'beginAttempt' | 'endAttempt' | 'voidAttempt'> {
  const namesOf = ({ accountId, key, attemptId }: AttemptName): string[] => {
    const account = engine.keys.of(accountId);
    return [account.account, account.attempt(key), account.spend(attemptId)];
  };
  return {
    beginAttempt: async (asked) => {
      checkAttempt(asked);
      const { accountId, amountMsat, attemptId, fingerprint, inFlightSec } = asked;
      const args = [
        String(amountMsat),
        attemptId,
        fingerprint,
        String(inFlightSec),
        String(MAX_FREE_RETRIES),
      ];
      return engine.verb('beginAttempt', async () =>
        attemptOutcome(
          await whileStale(engine, accountId, async () =>
            wordsOf(await engine.run('begin-attempt', ...namesOf(asked), engine.clock(), ...args)),
          ),
        ),
      );
    },
    endAttempt: async (asked, end) => {
      checkAttemptEnd(asked, end);
      return engine.verb('endAttempt', async () => {
        const answer = await engine.run(
          'end-attempt',
          ...namesOf(asked),
          engine.clock(),
          asked.attemptId,
          end,
        );
        return { kind: kindOf(wordsOf(answer), ['ended', 'unknown']) };
      });
    },
    voidAttempt: async (asked) => {
      checkAttemptName(asked);
      return engine.verb('voidAttempt', async () => {
        const answer = await engine.run('void-attempt', ...namesOf(asked), engine.clock(), asked.attemptId);
        return { kind: kindOf(wordsOf(answer), ['voided', 'repeated', 'unknown']) };
      });
    },
  };
}

function checkSame(words: Words): Words {
  if (words[0] !== 'other-amount') return words;
  throw new StoreError('invalid', 'The key was used for another account or amount; nothing was changed.');
}

function spendOutcome(words: Words): SpendOutcome {
  const kind = kindOf(checkSame(words), ['spent', 'repeated', 'voided', ...REFUSALS]);
  switch (kind) {
    case 'spent':
    case 'repeated':
      return { kind, balanceMsat: amountAt(words, 1) };
    case 'voided':
      return { kind };
    default:
      return refusalOf(kind, words);
  }
}

function attemptOutcome(words: Words): AttemptOutcome {
  const kind = kindOf(words, ['spent', 'free', 'in-flight', 'mismatch', 'voided', ...REFUSALS]);
  switch (kind) {
    case 'spent':
    case 'free':
      return { kind, balanceMsat: amountAt(words, 1) };
    case 'in-flight':
    case 'mismatch':
    case 'voided':
      return { kind };
    default:
      return refusalOf(kind, words);
  }
}

/** Why an account can't be charged, as scripts say it. */
export const REFUSALS = ['insufficient', 'unknown-account', 'expired', 'revoked'] as const;

/** The refusal that an answer begins with. */
export function refusalOf(kind: Refusal['kind'], words: Words): Refusal {
  return kind === 'insufficient' ? { kind, balanceMsat: amountAt(words, 1) } : { kind };
}
