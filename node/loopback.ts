import { BlockList, isIP } from 'node:net';
import { bareHost } from './bare-host.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Whether an address is this machine's alone: 127.0.0.0/8 and ::1, also in brackets or written as IPv6 (`::ffff:127.0.0.1`). A name is
 * not: what it resolves to is somebody else's word.
 */
export function isLoopbackAddress(address: string): boolean {
  const bare = bareHost(address);
  const version = isIP(bare);
  return version !== 0 && loopback.check(bare, version === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a listener on this host can be reached from this machine only: a loopback address, or `localhost`. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(host);
}
