import { execFile } from 'node:child_process';

/** What a service manager is told: sd_notify(3). */
export type SystemdState = 'READY=1' | 'STOPPING=1';

/** systemd-notify waits until systemd has read the message, which takes no time. ms. */
const TIMEOUT_MS = 5_000;

/**
 * Tells systemd how the process is, when it was started by a unit of `Type=notify`; elsewhere does nothing. Node has no datagram sockets
 * in the file system, so systemd's own program sends the message: the unit needs `NotifyAccess=all`.
 * @returns when it was told; an Error when it could not be: a unit that is never ready is ended by systemd
 */
export async function notifySystemd(
  state: SystemdState,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Error | undefined> {
  if (env['NOTIFY_SOCKET'] === undefined) return undefined;
  return new Promise((resolve) => {
    execFile('systemd-notify', [state], { env, timeout: TIMEOUT_MS }, (error) => {
      resolve(
        error === null
          ? undefined
          : new Error(`systemd could not be told ${state}: ${error.message}`, { cause: error }),
      );
    });
  });
}
