import {
  type DestinationStream,
  type Logger,
  destination as openDestination,
  pino,
  stdTimeFunctions,
} from 'pino';
import { prettyLine } from './pretty.ts';
import { scrubFields, scrubPath, scrubText } from './scrub.ts';

/** How much is said. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Facts beside a message. Secrets in them are hidden, but don't put any in. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One finished request. */
export interface AccessEntry {
  readonly method: string;
  /** The request target; its query is dropped. */
  readonly path: string;
  readonly service: string | undefined;
  readonly outcome: string;
  readonly status: number;
  readonly ms: number;
  /** What it cost, msat. */
  readonly msat?: number;
}

/** Where the gateway says what happens. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields on every line. */
  child(fields: LogFields): Log;
  /** False when {@link Log.access} would write nothing: ask before building an entry. */
  readonly accessEnabled: boolean;
  /** Writes one line for a request, at level info, buffered. */
  access(entry: AccessEntry): void;
  /** Writes what is buffered, now. */
  flush(): void;
}

/** How to make a {@link Log}. */
export interface LogOptions {
  readonly level: LogLevel;
  /** `pretty`: short lines for a terminal. */
  readonly format: 'json' | 'pretty';
  /** Which of several processes this is, on every line; they write to one stream. */
  readonly worker?: number;
  /** Absent: standard output. */
  readonly destination?: { write(text: string): unknown };
  /** Colours in pretty lines; absent: when standard output is a terminal. */
  readonly colour?: boolean;
}

/** Access lines gather to this many bytes, or for a second, before one write. */
const BUFFER_BYTES = 8192;
/** The same where several processes write to one pipe: the system never mixes writes up to PIPE_BUF, which is this on Linux. */
const SHARED_PIPE_BYTES = 4096;
const FLUSH_INTERVAL_MS = 1000;

/** Makes the log. Every message and field passes through the scrubber of scrub.ts. */
export function createLog(options: LogOptions): Log {
  const sink = openSink(options);
  const logger = pino(
    {
      level: options.level,
      // No pid and host name: whoever collects logs adds where they came from.
      base: options.worker === undefined ? null : { worker: options.worker },
      timestamp: stdTimeFunctions.epochTime,
      formatters: { level: (label) => ({ level: label }) },
      // Errors are plain copies by now: pino's own serializer would rename their types to Object.
      serializers: { err: (value: unknown) => value },
    },
    sink.stream,
  );
  return wrap(logger, sink.flush);
}

type Level = Exclude<LogLevel, 'silent'>;

function wrap(logger: Logger<never>, flush: () => void): Log {
  const say = (level: Level) => (message: string, fields?: LogFields) => {
    if (!logger.isLevelEnabled(level)) return;
    if (fields === undefined) logger[level](scrubText(message));
    else logger[level](scrubFields(fields), scrubText(message));
    // Only access lines wait: whatever else is said may be the last thing before a crash.
    flush();
  };
  const accessEnabled = logger.isLevelEnabled('info');
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    child: (fields) => wrap(logger.child(scrubFields(fields)), flush),
    accessEnabled,
    access: (entry) => {
      if (accessEnabled) logger.info(accessFields(entry));
    },
    flush,
  };
}

function accessFields(entry: AccessEntry): object {
  return {
    access: true,
    method: entry.method.slice(0, 32),
    path: scrubPath(entry.path),
    service: entry.service ?? '-',
    outcome: entry.outcome,
    status: entry.status,
    ms: Math.round(entry.ms * 10) / 10,
    msat: entry.msat ?? 0,
  };
}

function openSink(options: LogOptions): { stream: DestinationStream; flush: () => void } {
  const { destination } = options;
  if (options.format === 'pretty') {
    const target = destination ?? process.stdout;
    const colour = options.colour ?? (destination === undefined && process.stdout.isTTY === true);
    return { stream: { write: (line) => void target.write(prettyLine(line, { colour })) }, flush: () => {} };
  }
  if (destination !== undefined) {
    return { stream: { write: (line) => void destination.write(line) }, flush: () => {} };
  }
  const stream = openDestination({
    dest: 1,
    sync: false,
    // Whole lines, as many as fit.
    ...(options.worker === undefined
      ? { minLength: BUFFER_BYTES }
      : { minLength: SHARED_PIPE_BYTES / 2, maxWrite: SHARED_PIPE_BYTES }),
    periodicFlush: FLUSH_INTERVAL_MS,
  });
  return { stream, flush: () => stream.flush() };
}
