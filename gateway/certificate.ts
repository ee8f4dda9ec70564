import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createSecureContext } from 'node:tls';

/** PEM text. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Where a listener's certificate stands. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * Reads certificate and key, and checks that they belong together.
 * @throws Error when a file can't be read, is no PEM, or the key is another certificate's.
 */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)]);
  createSecureContext({ cert, key });
  return { cert, key };
}

/** Told about every reload. */
export interface CertificateEvents {
  onReloaded(certificate: Certificate): void;
  /** The certificate in use stays in use. */
  onRefused(error: Error): void;
}

/** Renewals write two files, one after the other: they are read when it has been quiet for this long, ms. */
const QUIET_MS = 100;

/**
 * Watches the folders of a certificate (not the files: a renewal replaces them, and Kubernetes swaps a link beside them) and
 * rereads it when something in them changes.
 * @returns stops watching
 */
export function watchCertificate(files: CertificateFiles, events: CertificateEvents): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let last = '';
  const reread = async () => {
    try {
      const certificate = await readCertificate(files);
      const text = `${certificate.cert}${certificate.key}`;
      if (stopped || text === last) return;
      last = text;
      events.onReloaded(certificate);
    } catch (error) {
      if (!stopped) events.onRefused(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const names = new Set([basename(files.certFile), basename(files.keyFile)]);
  const onChange = (_event: string, name: string | null) => {
    // `..data` is the link that Kubernetes swaps.
    if (name !== null && !names.has(name) && !name.startsWith('..')) return;
    clearTimeout(timer);
    timer = setTimeout(reread, QUIET_MS).unref();
  };
  const watchers: FSWatcher[] = [];
  for (const folder of new Set([dirname(files.certFile), dirname(files.keyFile)])) {
    const watcher = watch(folder, { persistent: false }, onChange);
    watcher.on('error', (error) => events.onRefused(error));
    watchers.push(watcher);
  }
  return () => {
    stopped = true;
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
