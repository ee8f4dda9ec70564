import { BlockList, isIPv6 } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True when a listener on this host can be reached from another machine. */
export function isPublicHost(host: string): boolean {
  if (host === 'localhost') return false;
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return !loopback.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
}
