import { NodeError } from './node.ts';

/** What an `lndconnect` URI says. */
export interface LndConnect {
  /** `https://host:port` */
  readonly url: string;
  /** Hex. A secret. */
  readonly macaroon: string;
  readonly tlsCertPem?: string;
}

/** Characters of a URI that we read. A certificate and a macaroon take about 1,500. */
const MAX_CHARS = 16_384;

/**
 * Reads `lndconnect://host:port?cert=…&macaroon=…` (both base64url; the certificate is DER), as wallets show it.
 * @throws NodeError `rejected`, without any part of the URI.
 */
export function parseLndConnect(uri: string): LndConnect {
  if (uri.length > MAX_CHARS) throw refused('it is too long');
  const url = URL.parse(uri);
  if (url === null || url.protocol !== 'lndconnect:' || url.host === '') {
    throw refused('it does not begin with lndconnect://host:port');
  }
  const macaroon = fromBase64Url(url.searchParams.get('macaroon') ?? '');
  if (macaroon.length === 0) throw refused('it has no macaroon, or one that is not base64url');
  const cert = url.searchParams.get('cert');
  if (cert === null || cert === '') return { url: `https://${url.host}`, macaroon: macaroon.toString('hex') };
  const der = fromBase64Url(cert);
  if (der.length === 0) throw refused('its certificate is not base64url');
  return { url: `https://${url.host}`, macaroon: macaroon.toString('hex'), tlsCertPem: toPem(der) };
}

function fromBase64Url(text: string): Buffer {
  return /^[A-Za-z0-9_-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64url') : Buffer.alloc(0);
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function refused(why: string): NodeError {
  return new NodeError('rejected', `The lndconnect URI is not usable: ${why}.`);
}
