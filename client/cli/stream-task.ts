import type { PaidStreamOptions, StreamSummary } from '../paid-visit.ts';
import type { PayingClient } from '../paying-client.ts';
import type { Io } from './io.ts';
import type { StreamReport } from './stream-report.ts';

/** What a run came to. */
export interface StreamRun {
  readonly exitCode: number;
  readonly summary?: StreamSummary;
  /** Why it did not end well. */
  readonly error?: unknown;
}

/** What running a stream needs. */
export interface StreamTask {
  readonly client: PayingClient;
  readonly url: URL;
  readonly init: RequestInit;
  readonly paying: PaidStreamOptions;
  readonly io: Io;
  readonly report: StreamReport;
  /** Aborts when the stream shall end: interrupted, or its time is over. */
  readonly stop: AbortSignal;
  readonly fail: boolean;
}
