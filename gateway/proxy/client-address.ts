import { BlockList, isIP } from 'node:net';

/** The peers whose word about addresses is believed. */
export interface TrustedProxies {
  /** True for an address (as a socket or a header gives it) that the operator declared. */
  has(address: string): boolean;
  /** To be called for an X-Forwarded-For that is ignored; tells the operator once. */
  noticeUndeclared(address: string): void;
}

/** More hops than any real chain; what lies beyond is not read. */
const MAX_HOPS = 32;
const MAX_REMEMBERED = 1_000;

/**
 * Compiles the configured addresses and CIDR blocks.
 * @param entries - `10.0.0.0/8`, `::1`, `192.0.2.7`
 * @param onUndeclared - called once, with the address of the first peer whose X-Forwarded-For was ignored: behind a proxy that
 * nobody declared, all buyers share one throttle bucket
 * @throws RangeError when an entry is neither an address nor a block.
 */
export function trustedProxies(
  entries: readonly string[],
  onUndeclared: (address: string) => void = () => {},
): TrustedProxies {
  const blocks = new BlockList();
  for (const entry of entries) addEntry(blocks, entry);
  // BlockList.check makes two native objects a call; peers are few and come again and again.
  const remembered = new Map<string, boolean>();
  let noticed = false;
  return {
    has(address) {
      if (entries.length === 0) return false;
      const known = remembered.get(address);
      if (known !== undefined) return known;
      const plain = plainAddress(address);
      const family = isIP(plain);
      const trusted = family !== 0 && blocks.check(plain, family === 4 ? 'ipv4' : 'ipv6');
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      remembered.set(address, trusted);
      return trusted;
    },
    noticeUndeclared(address) {
      if (noticed) return;
      noticed = true;
      onUndeclared(plainAddress(address));
    },
  };
}

function addEntry(blocks: BlockList, entry: string): void {
  const slash = entry.indexOf('/');
  const address = plainAddress(slash === -1 ? entry : entry.slice(0, slash));
  const family = isIP(address);
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const bits = slash === -1 ? '' : entry.slice(slash + 1);
  const known = family !== 0 && (slash === -1 || /^\d{1,3}$/.test(bits));
  if (!known || Number(bits) > (family === 4 ? 32 : 128)) {
    throw new RangeError(`${entry} is neither an IP address nor a block such as 10.0.0.0/8`);
  }
  if (slash === -1) blocks.addAddress(address, type);
  else blocks.addSubnet(address, Number(bits), type);
}

/**
 * The address of the client: the right-most one in X-Forwarded-For that is no trusted proxy's, or the peer itself. What stands
 * further left was written by the client and is never read.
 * @param socketAddress - `socket.remoteAddress`
 * @param xForwardedFor - the header's values, joined with commas
 */
export function clientAddress(
  socketAddress: string | undefined,
  xForwardedFor: string | undefined,
  trusted: TrustedProxies,
): string {
  if (socketAddress === undefined) return '';
  const peer = plainAddress(socketAddress);
  if (xForwardedFor === undefined) return peer;
  if (!trusted.has(socketAddress)) {
    trusted.noticeUndeclared(socketAddress);
    return peer;
  }
  let nearest = peer;
  let end = xForwardedFor.length;
  for (let hop = 0; hop < MAX_HOPS && end >= 0; hop += 1) {
    const comma = xForwardedFor.lastIndexOf(',', end - 1);
    const address = hopAddress(xForwardedFor.slice(comma + 1, end).trim());
    // A trusted proxy that writes `unknown` or garbage hides its peer; the last address we know stands for it.
    if (address === undefined) return nearest;
    if (!trusted.has(address)) return address;
    nearest = address;
    if (comma <= 0) return nearest;
    end = comma;
  }
  return nearest;
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. */
function hopAddress(hop: string): string | undefined {
  let address = hop;
  if (hop.startsWith('[')) address = hop.slice(1, Math.max(1, hop.indexOf(']')));
  else if (hop.includes('.') && hop.indexOf(':') === hop.lastIndexOf(':'))
    address = hop.split(':', 1)[0] ?? '';
  const plain = plainAddress(address);
  return isIP(plain) === 0 ? undefined : plain;
}

const MAPPED = /^::ffff:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/i;

/** Without zone, and an IPv4-mapped address as IPv4: the two name one client. */
export function plainAddress(address: string): string {
  const zone = address.indexOf('%');
  const bare = zone === -1 ? address : address.slice(0, zone);
  return bare.startsWith('::') ? (MAPPED.exec(bare)?.[1] ?? bare) : bare;
}

/**
 * What a throttle counts by: the IPv4 address, or the /56 of an IPv6 address (what one customer commonly gets: by single
 * addresses a throttle would have 2^72 buckets to hand out).
 */
export function throttleKey(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const groups = expand(plain);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  // The mapped form written in hex (`::ffff:c000:201`) is an IPv4 client too.
  if (a === 0 && b === 0 && c === 0 && d === 0 && e === 0 && f === 0xffff) {
    return `${g >> 8}.${g & 0xff}.${h >> 8}.${h & 0xff}`;
  }
  return `${a.toString(16)}:${b.toString(16)}:${c.toString(16)}:${(d & 0xff00).toString(16)}::/56`;
}

/** The eight groups of a valid IPv6 address. */
function expand(address: string): readonly number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = dotted === null ? address : dottedTail(dotted);
  const [left = '', right] = text.split('::', 2);
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : 8 - head.length - tail.length;
  return [...head, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...tail].map((group) =>
    Number.parseInt(group, 16),
  );
}

function dottedTail([, lead = '', ...octets]: RegExpExecArray): string {
  const [a = 0, b = 0, c = 0, d = 0] = octets.map(Number);
  return `${lead}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}
