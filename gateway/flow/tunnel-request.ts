import { createMeteringDuplex } from '../meter/index.ts';
import type { ForwardOutcome } from '../proxy/forward.ts';
import type { Tunnel } from '../proxy/websocket.ts';
import type { Charge } from './charge.ts';
import type { Exchange, UpgradeSocket } from './exchange.ts';
import { type ForwardDeps, paidHeaders, upstreamRequest } from './forward-request.ts';
import type { MeteredCharge } from './metered-charge.ts';

/** What tunnelling needs. */
export interface TunnelDeps extends ForwardDeps {
  readonly tunnel: Tunnel;
}

/**
 * Tunnels a WebSocket that was paid for (or is free), until both sides are closed. The tunnel answers on the raw socket
 * itself, also when the upstream fails.
 */
export function tunnelRequest(
  deps: TunnelDeps,
  exchange: Exchange,
  charge: Charge | undefined,
): Promise<ForwardOutcome> {
  const { req, res, service, upgrade } = exchange;
  if (upgrade === undefined) throw new Error('a tunnel needs an upgrade');
  const startedAtMs = deps.nowMs();
  const upstream = upstreamRequest(exchange, charge, startedAtMs);
  // From here on the socket is the tunnel's; what is written to the response goes nowhere.
  res.detachSocket(req.socket);
  res.destroy();
  return new Promise((resolve) => {
    const client = charge?.metered === undefined ? upgrade : meteredClient(exchange, upgrade, charge.metered);
    deps.tunnel(req, client.socket, client.head, {
      ...upstream,
      timeoutMs: service.connectTimeoutMs + service.headersTimeoutMs,
      onOpen: () => {
        deps.onUpstreamHead(service, deps.nowMs() - startedAtMs);
        return charge === undefined ? [] : paidHeaders(exchange, charge, 101, []);
      },
      onClose: ({ bytesDown }) =>
        resolve({ kind: 'responded', status: 101, bytesSent: bytesDown, delivered: true }),
      onRefused: (status, headers) => {
        resolve({ kind: 'responded', status, bytesSent: 0, delivered: true });
        return charge === undefined ? [] : paidHeaders(exchange, charge, status, headers);
      },
      onUpstreamError: (error) =>
        resolve({
          kind: 'upstream-failed',
          phase: error.code === 'upstream-timeout' ? 'timeout' : 'connect',
          beforeFirstByte: true,
          error,
        }),
      onClientGone: () =>
        resolve({ kind: 'client-gone', when: 'before-head', status: undefined, bytesSent: 0 }),
    });
  });
}

/** The meter stands in the place of the client's socket, and is the only one that reads it. */
function meteredClient(
  exchange: Exchange,
  { socket, head }: UpgradeSocket,
  { meter }: MeteredCharge,
): UpgradeSocket {
  const stallMs = exchange.config.limits.clientIdleTimeoutMs;
  return { socket: createMeteringDuplex({ socket, head, meter, stallMs }), head: Buffer.alloc(0) };
}
