import type { Readable, Writable } from 'node:stream';

/** What a command may touch of the process it runs in. */
export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path that relative ones start from. */
  readonly cwd: string;
  /** The code that the process ends with, once nothing is left to do. */
  setExitCode(code: number): void;
  /** Ends the process now, with what is under way. */
  exit(code: number): void;
  /** Calls `handler` on the first Ctrl-C; the second one kills as always. Returns how to stop listening. */
  onInterrupt(handler: () => void): () => void;
}

/** The {@link Io} of this process. */
export function processIo(): Io {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    setExitCode: (code) => {
      process.exitCode = code;
    },
    exit: (code) => process.exit(code),
    onInterrupt: (handler) => {
      process.once('SIGINT', handler);
      return () => process.off('SIGINT', handler);
    },
  };
}

/** Writes one line for a person. */
export function say(io: Io, line: string): void {
  io.stderr.write(`${line}\n`);
}
