import { type LightningNode, NodeError, type Settlement } from '../../node/node.ts';

/** What following the node's feed needs. */
export interface FollowDeps {
  readonly node: Pick<LightningNode, 'settlements'>;
  /** Credits a payment. @throws StoreError */
  readonly apply: (settlement: Settlement) => Promise<void>;
  /** Every settlement up to this cursor is durably applied. */
  readonly onReached: (cursor: number) => void;
  /** The subscription stands. May be called again. */
  readonly onConnected: () => void;
  /** A feed that is quiet for so long is taken to stand, when nothing is expected of it, ms. */
  readonly quietMs: number;
  /** A node that does not repeat the settlement at the cursor within this does not know it, ms. */
  readonly probeMs: number;
  /** A feed that has told nothing for so long is asked anew, ms: what is in between may have swallowed the connection. */
  readonly silentMs: number;
  /** The same for a node that has not settled anything yet, so that it has nothing to prove itself by: it is read from its first invoice. */
  readonly emptyMs: number;
  /** Whether the node answers at all. Does not reject. */
  readonly answers: () => Promise<boolean>;
}

/**
 * The node does not report the settlement that the cursor stands for: it was restored from an older copy, or replaced, and
 * counts anew. A subscription from there would wait in silence until its count has caught up.
 */
export class UnknownCursorError extends Error {
  constructor(cursor: number) {
    super(`the node does not know settlement ${cursor} (any more)`);
    this.name = 'UnknownCursorError';
  }
}

/** Settlements being applied at once: a backlog goes into few transactions, and the store is not flooded. */
const MAX_UNDER_WAY = 64;

/**
 * Follows the feed from a cursor until it is silent or the signal aborts. It asks for the settlement at the cursor once more: that it
 * comes proves that the subscription stands, and that the node still counts as it did.
 * @param cursor - the last settlement known to be applied; 0: none
 * @returns `silent`: ask again from where it was, and it proves itself once more
 * @throws NodeError when the connection is lost
 * @throws UnknownCursorError
 * @throws StoreError when a settlement could not be applied
 */
export async function followSettlements(
  deps: FollowDeps,
  cursor: number,
  signal: AbortSignal,
): Promise<'silent' | 'aborted'> {
  const stop = new AbortController();
  let silent = true;
  let unknown = false;
  const timer = setTimeout(
    () => {
      if (!silent) return;
      unknown = cursor > 0;
      if (unknown) stop.abort();
      else deps.onConnected();
    },
    cursor > 0 ? deps.probeMs : deps.quietMs,
  );
  timer.unref();
  let over = false;
  const endAfter = (ms: number): NodeJS.Timeout => {
    const ending = setTimeout(() => {
      over = true;
      stop.abort();
    }, ms);
    return ending.unref();
  };
  let silence = endAfter(cursor > 0 ? deps.silentMs : deps.emptyMs);
  const pipeline = createPipeline(deps, () => stop.abort());
  try {
    const own = AbortSignal.any([signal, stop.signal]);
    for await (const settlement of deps.node.settlements(Math.max(0, cursor - 1), own)) {
      silent = false;
      clearTimeout(silence);
      silence = endAfter(deps.silentMs);
      deps.onConnected();
      await pipeline.add(settlement);
      if (own.aborted) break;
    }
  } catch (error) {
    // Broken off by ourselves: why is told below.
    if (!signal.aborted && !stop.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(silence);
    await pipeline.drained();
  }
  if (signal.aborted) return 'aborted';
  if (unknown) {
    // A connection that was swallowed is as silent as a node that does not know the settlement, and means less.
    if (await deps.answers()) throw new UnknownCursorError(cursor);
    throw new NodeError('timeout', 'The node does not answer, and its feed of settlements is silent.');
  }
  if (over) return 'silent';
  throw new NodeError('unreachable', 'The node ended its feed of settlements.');
}

interface Pipeline {
  /** Begins to apply a settlement; waits while too many are under way. */
  add(settlement: Settlement): Promise<void>;
  /** @throws what applying threw first */
  drained(): Promise<void>;
}

/** Applies settlements side by side and reports them in order: the cursor never passes one that is not durable. */
function createPipeline(deps: FollowDeps, onFailed: () => void): Pipeline {
  let tail: Promise<void> = Promise.resolve();
  let sinceDrained = 0;
  const step = async (before: Promise<void>, applied: Promise<void>, cursor: number): Promise<void> => {
    await Promise.all([before, applied]);
    deps.onReached(cursor);
  };
  return {
    async add(settlement) {
      tail = step(tail, deps.apply(settlement), settlement.cursor);
      tail.catch(onFailed);
      sinceDrained += 1;
      if (sinceDrained < MAX_UNDER_WAY) return;
      sinceDrained = 0;
      // A failure has called onFailed, which ends the loop; drained throws it.
      await tail.catch(() => {});
    },
    drained: () => tail,
  };
}
