import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls';
import { buildConnector } from 'undici';
import { bareHost } from './bare-host.ts';
import { NodeError } from './node.ts';
import { connectThrough, type SocksProxy } from './socks.ts';

/** A certificate that we show to the server, and its key. PEM. */
export interface ClientCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** How to connect to a node. */
export interface ConnectOptions {
  /** The server's own certificate, or the CA that signed it; absent: the system's CAs. */
  readonly tlsCertPem?: string;
  /** The certificate as it is now, asked for when the server shows another one than before. May throw. */
  readonly rereadTlsCert?: () => string;
  /** What we show to a server that asks, as it is now: asked for with each connection. May throw, then the last one is shown. */
  readonly readClientCertificate?: () => ClientCertificate;
  /** Connections go through it, and it resolves the node's name. */
  readonly socksProxy?: SocksProxy;
  /** Bound on each step: the way through the proxy, TCP, TLS, ms. */
  readonly timeoutMs: number;
}

/** What Node says when a certificate is not the pinned one, and not of an authority that is known. */
const CERTIFICATE_CODES =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT_)/;

/** What OpenSSL says when the server broke off for want of a client certificate, or refused ours. */
const CLIENT_CERTIFICATE_CODES =
  /^ERR_SSL_.*_ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)$/;

/** Whether an error code says that the server's certificate is not to be trusted. */
export function isCertificateCode(code: string): boolean {
  return CERTIFICATE_CODES.test(code);
}

/** Whether an error code says that the server wants a client certificate, or another one. */
export function isClientCertificateCode(code: string): boolean {
  return CLIENT_CERTIFICATE_CODES.test(code);
}

/** The code of an error of the system, of TLS or of undici. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : error.name;
}

/**
 * Connects with the certificate that is pinned now. When the server shows another one, the pin is read again: what the
 * node's owner wrote there is trusted, never what the server shows.
 * @param protocol - asked for with ALPN; a server that speaks HTTP/1.1 only is connected to all the same
 * @throws NodeError `unreachable` when a certificate or a key is none.
 */
export function createConnector(
  options: ConnectOptions,
  hostname: string,
  protocol: 'http/1.1' | 'h2' = 'http/1.1',
): buildConnector.connector {
  const trust = createTrust(options, bareHost(hostname), protocol);
  const open: buildConnector.connector = (target, callback) => {
    const { socksProxy, timeoutMs } = options;
    if (socksProxy === undefined) {
      trust.connector()(target, callback);
      return;
    }
    const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
    connectThrough(socksProxy, { host: target.hostname, port }, timeoutMs).then(
      (socket) => {
        // Without TLS the way through the proxy is the connection.
        if (target.protocol === 'https:') trust.connector()({ ...target, httpSocket: socket }, callback);
        else callback(null, socket);
      },
      (error: Error) => callback(error, null),
    );
  };
  return (target, callback) => {
    trust.readClient();
    open(target, (...outcome) => {
      const [error] = outcome;
      if (error !== null && isCertificateCode(codeOf(error)) && trust.isRenewed()) open(target, callback);
      else callback(...outcome);
    });
  };
}

/** The certificates of both sides as they are now, and a connector that goes by them. */
function createTrust(options: ConnectOptions, hostname: string, protocol: 'http/1.1' | 'h2') {
  let pin = options.tlsCertPem;
  let client = options.readClientCertificate?.();
  const build = () =>
    buildConnector({
      timeout: options.timeoutMs,
      allowH2: protocol === 'h2',
      preferH2: protocol === 'h2',
      ...pinned(pin, hostname),
      ...shown(client),
    });
  let connector = build();
  return {
    connector: () => connector,
    isRenewed(): boolean {
      try {
        const certPem = options.rereadTlsCert?.();
        if (certPem === undefined || certPem === pin) return false;
        parseCertificate(certPem);
        pin = certPem;
        connector = build();
        return true;
      } catch {
        // It is being written, or gone: the one that we have stays, and the next failure asks again.
        return false;
      }
    },
    readClient(): void {
      try {
        const next = options.readClientCertificate?.();
        if (next === undefined || (next.certPem === client?.certPem && next.keyPem === client.keyPem)) return;
        shown(next);
        client = next;
        connector = build();
      } catch {
        // Renewals write two files, one after the other: until both fit, the last ones that did are shown.
      }
    },
  };
}

/**
 * TLS options that accept the pinned certificate whatever name it bears (LND's is self-signed, for the names that the
 * machine had when it was made), and what a pinned CA signed for the name that was asked.
 */
function pinned(certPem: string | undefined, hostname: string) {
  if (certPem === undefined) return {};
  const pin = parseCertificate(certPem);
  return {
    ca: certPem,
    checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
      certificate.raw?.equals(pin.raw) ? undefined : checkServerIdentity(hostname, certificate),
  };
}

function shown(client: ClientCertificate | undefined) {
  if (client === undefined) return {};
  const { certPem: cert, keyPem: key } = client;
  try {
    // An empty file is no error to createSecureContext, which would then show nothing.
    new X509Certificate(cert);
    createSecureContext({ cert, key });
  } catch (cause) {
    const why = 'are no PEM, or do not belong together';
    throw new NodeError('unreachable', `The client certificate for the node and its key ${why}.`, { cause });
  }
  return { cert, key };
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new NodeError('unreachable', "The node's TLS certificate is not a PEM certificate.", { cause });
  }
}
