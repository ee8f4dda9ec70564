/** What a {@link CursorKeeper} needs. */
export interface CursorKeeperOptions {
  /** Writes it durably. */
  readonly advance: (cursor: number) => Promise<void>;
  /** The cursor is written at most this often, ms: it is synced to disk each time. */
  readonly everyMs: number;
  /** A write failed; it is tried again with the next one. */
  readonly onError: (error: unknown) => void;
}

/** Writes down how far the feed was applied. */
export interface CursorKeeper {
  /** Every settlement up to this one is durably applied. */
  reached(cursor: number): void;
  /** Writes what is not written yet, now. Does not reject. */
  flush(): Promise<void>;
}

/**
 * Writes the cursor now and then. Losing a few steps of it costs nothing: what is reported again changes nothing.
 */
export function createCursorKeeper({ advance, everyMs, onError }: CursorKeeperOptions): CursorKeeper {
  let reached = 0;
  let written = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const cursor = reached;
    if (cursor <= written) return;
    try {
      await advance(cursor);
      written = cursor;
    } catch (error) {
      onError(error);
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(write);
    return writing;
  };
  return {
    reached(cursor) {
      reached = Math.max(reached, cursor);
      timer ??= setTimeout(() => void flush(), everyMs).unref();
    },
    flush,
  };
}
