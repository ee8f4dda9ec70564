import type { Readable, Writable } from 'node:stream';

/** What an operator's command may touch of the process it runs in. */
export interface OperatorIo {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path that relative ones start from. */
  readonly cwd: string;
  /** The code that the process ends with. */
  setExitCode(code: number): void;
}
