import { Socket } from 'node:net';
import { type FromWorker, readToWorker, type ToWorker } from './messages.ts';

/** A worker's end of the channel to its primary. */
export interface PrimaryPort {
  /** @param handedOver - called when the message is on its way, or can't be sent any more */
  send(message: FromWorker, handedOver?: () => void): void;
  /** @param socket - a connection that came with the message */
  onMessage(listener: (message: ToWorker, socket: Socket | undefined) => void): void;
  /** The primary has ended, however it did. */
  onGone(listener: () => void): void;
}

/** Opens this worker's channel. @throws Error in a process that no primary started */
export function openPrimaryPort(): PrimaryPort {
  if (process.send === undefined) {
    throw new Error('This file is run by a gateway with several workers, and not by itself.');
  }
  return {
    send(message, handedOver = () => {}) {
      if (process.send === undefined || !process.connected) handedOver();
      else process.send(message, undefined, {}, () => handedOver());
    },
    onMessage: (listener) =>
      void process.on('message', (value: unknown, handle: unknown) => {
        const message = readToWorker(value);
        if (message !== undefined) listener(message, handle instanceof Socket ? handle : undefined);
      }),
    onGone: (listener) => void process.once('disconnect', listener),
  };
}
