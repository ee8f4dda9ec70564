/** A host without the brackets that an IPv6 address has in a URL, and nowhere else. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
