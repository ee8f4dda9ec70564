import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { LndNodeConfig, NodeConfig } from '../../../config/config.ts';
import { type CheckedFile, type Diagnosis, reasonOf, scribe } from './diagnosis.ts';
import { checkDates } from './listeners.ts';
import { checkMacaroon } from './macaroon.ts';

/** What the files say that the node is asked with. */
export interface NodeFiles {
  readonly found: readonly Diagnosis[];
  /** What must be mended first: without a certificate there is no connection, without a macaroon no answer. Absent: nothing. */
  readonly broken?: 'certificate' | 'macaroon';
}

/** The certificates and the macaroon of the configuration. */
export function checkNodeFiles(node: NodeConfig, nowMs: () => number): NodeFiles {
  if (node.type !== 'lnd') return { found: [] };
  const certificates = [checkPinned(node, nowMs), checkClientCertificate(node, nowMs)];
  const macaroon = checkMacaroon(node, nowMs);
  const found = [...certificates, macaroon].flatMap((checked) => checked.found);
  if (!certificates.every(({ usable }) => usable)) return { found, broken: 'certificate' };
  return macaroon.usable ? { found } : { found, broken: 'macaroon' };
}

function checkPinned({ tlsCertFile }: LndNodeConfig, nowMs: () => number): CheckedFile {
  if (tlsCertFile === undefined) return { found: [], usable: true };
  return checkCertificate(tlsCertFile, "the node's certificate", nowMs, {
    renew:
      'delete tls.cert and tls.key of LND and restart it (or run it with --tlsautorefresh), then copy the new one',
    name: 'name the tls.cert of the node in `node.tlsCertFile`, readable by this user',
  });
}

function checkClientCertificate(
  { clientCertFile, clientKeyFile }: LndNodeConfig,
  nowMs: () => number,
): CheckedFile {
  if (clientCertFile === undefined || clientKeyFile === undefined) return { found: [], usable: true };
  const whose = 'the client certificate for the node';
  const name = 'name its PEM file in `node.clientCertFile`, readable by this user';
  const dated = checkCertificate(clientCertFile, whose, nowMs, { renew: 'renew it', name });
  if (!dated.usable) return dated;
  try {
    createSecureContext({ cert: readFileSync(clientCertFile), key: readFileSync(clientKeyFile) });
    return dated;
  } catch (error) {
    const unusable = scribe('certificate').problem(
      `${whose} and its key (${clientKeyFile}) can not be used: ${reasonOf(error)}`,
      'name a certificate and the key that belongs to it',
    );
    return { found: [...dated.found, unusable], usable: false };
  }
}

function checkCertificate(
  file: string,
  whose: string,
  nowMs: () => number,
  remedies: { readonly renew: string; readonly name: string },
): CheckedFile {
  try {
    const certificate = new X509Certificate(readFileSync(file));
    return { found: [checkDates(certificate, `${whose} (${file})`, nowMs(), remedies.renew)], usable: true };
  } catch (error) {
    const message = `${whose} (${file}) can not be read: ${reasonOf(error)}`;
    return { found: [scribe('certificate').problem(message, remedies.name)], usable: false };
  }
}
