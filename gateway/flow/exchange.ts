import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Config, ServiceConfig } from '../../config/config.ts';
import type { Target } from '../proxy/target.ts';
import type { ConnectionMemory, ExchangeClient } from './connection-memory.ts';

/** A WebSocket handshake: where its socket is, once payment was checked. */
export interface UpgradeSocket {
  readonly socket: Duplex;
  /** Bytes of the first frames that came with the handshake. */
  readonly head: Buffer;
}

/** One request under way, from its first line to its settlement. */
export interface Exchange {
  readonly req: IncomingMessage;
  /** For a WebSocket handshake: a response that writes to the raw socket, used when it is not let through. */
  readonly res: ServerResponse;
  readonly upgrade: UpgradeSocket | undefined;
  /** Sends `100 Continue` to a client that waits for it; undefined when it does not. Never called before payment. */
  readonly sendContinue: (() => void) | undefined;
  readonly receivedAtMs: number;
  /** The configuration at the time it came; a reload does not change a request under way. */
  readonly config: Config;
  readonly service: ServiceConfig;
  /** The canonical target: matched, priced and forwarded. */
  readonly target: Target;
  readonly client: ExchangeClient;
  readonly connection: ConnectionMemory;
}
