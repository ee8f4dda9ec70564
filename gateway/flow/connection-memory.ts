import type { Duplex } from 'node:stream';
import type { ServiceConfig } from '../../config/config.ts';
import type { CredentialReading } from '../l402/credential.ts';
import type { TrustedProxies } from '../proxy/client-address.ts';

/** Who asked. */
export interface ExchangeClient {
  /** IP address, after trusted proxies. */
  readonly address: string;
  /** What limits are counted by: the address, or an IPv6 /56. */
  readonly throttleKey: string;
  /** The peer is a declared proxy: what it says of the client is believed. */
  readonly trustedPeer: boolean;
  readonly scheme: 'http' | 'https';
}

/** A header that held a credential, and what it was taken apart into. */
export interface ReadHeader {
  /** As it was spelt. */
  readonly name: string;
  readonly value: string;
  /** Which headers may hold one, and what is done with it, is the service's to say. */
  readonly service: ServiceConfig;
  readonly reading: CredentialReading;
}

/**
 * What is remembered of a client's connection from its last request, and forgotten with it. A client sends the same credential with
 * every request: to take it apart and to hash it each time would cost more than all other steps before the upstream.
 */
export interface ConnectionMemory {
  /** The only header of its request in which a credential could stand. */
  lastRead: ReadHeader | undefined;
  /** Who is at the other end, by what these proxies may say. */
  peer: { readonly trusted: TrustedProxies; readonly client: ExchangeClient } | undefined;
}

const memories = new WeakMap<Duplex, ConnectionMemory>();

/** The memory of a connection; empty at first. */
export function connectionMemory(socket: Duplex): ConnectionMemory {
  const known = memories.get(socket);
  if (known !== undefined) return known;
  const made: ConnectionMemory = { lastRead: undefined, peer: undefined };
  memories.set(socket, made);
  return made;
}
