import type { Msat } from '../../../node/msat.ts';
import { checkAccountId, checkCommits, checkRelease, checkReserve } from '../check-input.ts';
import { type Commit, type CommitOutcome, type SharedTime, type Store, StoreError } from '../store.ts';
import { amountAt, integerAt, kindOf, wordsOf } from './answers.ts';
import { REFUSALS, refusalOf } from './debits.ts';
import type { Engine } from './engine.ts';

/** Commits of one account that one script takes: nothing else runs on that server meanwhile. */
const COMMIT_CHUNK = 250;

/** Money set aside for streams and uploads, in the account's slot. */
export function leases(engine: Engine): Pick<Store, 'reserve' | 'commit' | 'release' | 'clockMs'> {
  const namesOf = (accountId: string): string[] => {
    const { account, leases, endedLeases } = engine.keys.of(accountId);
    return [account, leases, endedLeases];
  };
  const payingNamesOf = (accountId: string): string[] => [
    ...namesOf(accountId),
    engine.keys.of(accountId).paidTime,
  ];
  return {
    clockMs: async (accountId) => {
      checkAccountId(accountId);
      return engine.verb('clockMs', async () =>
        integerAt(
          wordsOf(await engine.run('account-clock', engine.keys.account(accountId), engine.clock())),
          0,
        ),
      );
    },
    reserve: async (asked) => {
      checkReserve(asked);
      const { accountId, leaseId, amountMsat, ttlSec, maxLeases } = asked;
      const args = [leaseId, String(amountMsat), String(ttlSec), String(maxLeases ?? '')];
      return engine.verb('reserve', async () => {
        const words = wordsOf(await engine.run('reserve', ...namesOf(accountId), engine.clock(), ...args));
        const kind = kindOf(words, ['reserved', 'repeated', 'too-many-leases', ...REFUSALS]);
        if (kind === 'reserved' || kind === 'repeated') return { kind, balanceMsat: amountAt(words, 1) };
        return kind === 'too-many-leases' ? { kind } : refusalOf(kind, words);
      });
    },
    commit: async (commits) => {
      checkCommits(commits);
      return engine.verb('commit', () => commitAll(engine, payingNamesOf, commits));
    },
    release: async (asked) => {
      checkRelease(asked);
      const { accountId, leaseId, spendMsat, shared } = asked;
      const args = [leaseId, String(spendMsat), ...sharedArgs(shared)];
      return engine.verb('release', async () => {
        const words = wordsOf(
          await engine.run('release', ...payingNamesOf(accountId), engine.clock(), ...args),
        );
        const kind = kindOf(words, ['released', 'gone', 'uncovered']);
        if (kind === 'uncovered') throw uncovered();
        return kind === 'gone' ? { kind } : { kind, balanceMsat: amountAt(words, 1), ...billedAt(words, 2) };
      });
    },
  };
}

function sharedArgs(shared: SharedTime | undefined): readonly [key: string, spans: string] {
  return shared === undefined ? ['', ''] : [shared.key, shared.spans.flat().join(' ')];
}

/** Only a step that names time paid for together is answered with it. */
function billedAt(words: readonly string[], at: number): { readonly billedMsat?: Msat } {
  return words.length > at ? { billedMsat: amountAt(words, at) } : {};
}

/** Commits by account, in the order asked, with their places. */
function chunksOf(commits: readonly Commit[]): readonly (readonly number[])[] {
  const open = new Map<string, number[]>();
  const chunks: number[][] = [];
  commits.forEach(({ accountId }, place) => {
    let chunk = open.get(accountId);
    if (chunk === undefined || chunk.length >= COMMIT_CHUNK) {
      chunk = [];
      open.set(accountId, chunk);
      chunks.push(chunk);
    }
    chunk.push(place);
  });
  return chunks;
}

/** One script for all leases of an account: a stream's slices are many, and the account is read and written once. */
async function commitAll(
  engine: Engine,
  namesOf: (accountId: string) => string[],
  commits: readonly Commit[],
): Promise<readonly CommitOutcome[]> {
  const outcomes = new Array<CommitOutcome>(commits.length);
  const clock = engine.clock();
  const commitChunk = async (places: readonly number[]): Promise<void> => {
    const args: string[] = [];
    let accountId = '';
    for (const place of places) {
      const commit = commits[place];
      if (commit === undefined) continue;
      accountId = commit.accountId;
      args.push(commit.leaseId, String(commit.slice), String(commit.spendMsat));
      args.push(String(commit.reserveMsat), String(commit.ttlSec), ...sharedArgs(commit.shared));
    }
    const answer = await engine.run('commit', ...namesOf(accountId), clock, ...args);
    if (answer === 'uncovered') throw uncovered();
    const answers = answer.split(',');
    if (answers.length !== places.length) throw engine.damaged();
    places.forEach((place, at) => {
      outcomes[place] = commitOutcome(answers[at] ?? '');
    });
  };
  // All are answered before the first failure is told: the caller repeats the call, and none may still be under way then.
  const settled = await Promise.allSettled(chunksOf(commits).map(commitChunk));
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
  return outcomes;
}

function commitOutcome(answer: string): CommitOutcome {
  const words = wordsOf(answer);
  const kind = kindOf(words, ['committed', 'repeated', 'insufficient', 'gone', 'revoked', 'expired']);
  switch (kind) {
    case 'gone':
      return { kind };
    case 'revoked':
    case 'expired':
      return { kind, ...billedAt(words, 1) };
    default:
      return {
        kind,
        balanceMsat: amountAt(words, 1),
        reservedMsat: amountAt(words, 2),
        ...billedAt(words, 3),
      };
  }
}

function uncovered(): StoreError {
  return new StoreError('invalid', 'spendMsat is more than the lease has reserved; nothing was changed.');
}
