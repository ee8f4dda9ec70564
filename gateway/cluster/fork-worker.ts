import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { ToWorker } from './messages.ts';

/** How a worker ended. */
export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** One worker process, seen from the primary. */
export interface WorkerProcess {
  /**
   * Sent or lost with the process: whoever sends hears of its end in any case.
   * @param handedOver - called in both cases
   */
  send(message: ToWorker, handedOver?: () => void): void;
  /** Sends a connection with it; the one here stays open, until it is known to be taken there. */
  sendConnection(message: ToWorker, socket: Socket): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Resolves when the process is gone and all that it had said was heard. */
  readonly ended: Promise<WorkerEnd>;
  /** Ends it at once. */
  kill(): void;
}

/** Starts a worker process that runs this file. */
export function forkWorker(file: string): WorkerProcess {
  // Structured clones: a configuration holds maps.
  return asProcess(fork(file, [], { serialization: 'advanced' }));
}

function asProcess(child: ChildProcess): WorkerProcess {
  // Not `exit`: its last messages may be read after that. Nor `disconnect`, which Node forgets when a connection was on its way.
  const closed = once(child, 'close');
  // A send to a process that is just ending; its end is what counts.
  child.on('error', () => {});
  return {
    send: (message, handedOver = () => {}) => {
      if (child.connected) child.send(message, () => handedOver());
      else handedOver();
    },
    sendConnection: (message, socket) => {
      if (child.connected) child.send(message, socket, { keepOpen: true }, () => {});
    },
    onMessage: (listener) => void child.on('message', listener),
    ended: closed.then(([code, signal]) => ({ code, signal })),
    kill: () => void child.kill('SIGKILL'),
  };
}
