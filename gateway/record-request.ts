import { ZERO_MSAT } from '../node/msat.ts';
import type { GatewayError, GatewayErrorCode } from './errors.ts';
import type { Exchange } from './flow/exchange.ts';
import type { FlowOutcome } from './flow/index.ts';
import type { Log } from './observe/log.ts';
import type { Metrics, RequestOutcome } from './observe/metrics.ts';

/** What is known of a request whose service was not found. */
export interface UnmatchedRequest {
  readonly method: string;
  readonly path: string;
  readonly receivedAtMs: number;
}

/** Writes down how requests ended, once each: metrics, access line, and an error line for what an operator must see. */
export interface Recorder {
  finished(exchange: Exchange, outcome: FlowOutcome): void;
  failed(exchange: Exchange | undefined, request: UnmatchedRequest, error: GatewayError): void;
}

const UNAVAILABLE: ReadonlySet<GatewayErrorCode> = new Set([
  'node-unavailable',
  'node-not-ready',
  'node-wrong-network',
  'no-inbound',
  'store-unavailable',
  'store-mismatch',
  'busy',
  'draining',
]);

/** Makes the recorder. It is on the data path: with the access log off it costs two counters a request. */
export function createRecorder(deps: {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly nowMs: () => number;
}): Recorder {
  const { metrics, log } = deps;
  return {
    finished(exchange, outcome) {
      const { service, req, res } = exchange;
      const result = resultOf(outcome);
      metrics.request(service.name, result);
      if (outcome.kind === 'challenged') metrics.challenge(service.name);
      const charge = outcome.kind === 'forwarded' ? outcome.charge : undefined;
      if (charge !== undefined && charge.amountMsat > 0) {
        metrics.spent(service.name, charge.amountMsat);
        if (outcome.kind === 'forwarded' && outcome.refunded)
          metrics.refunded(service.name, charge.amountMsat);
      }
      sayUpstreamFailure(log, exchange, outcome);
      if (!log.accessEnabled) return;
      const kept =
        outcome.kind === 'forwarded' && outcome.refunded ? ZERO_MSAT : (charge?.amountMsat ?? ZERO_MSAT);
      log.access({
        method: req.method ?? '',
        path: exchange.target.path,
        service: service.name,
        outcome: result,
        status: outcome.kind === 'forwarded' && exchange.upgrade !== undefined ? 101 : res.statusCode,
        ms: deps.nowMs() - exchange.receivedAtMs,
        msat: kept,
      });
    },
    failed(exchange, request, error) {
      const result = failureOf(error);
      metrics.request(exchange?.service.name, result);
      if (result === 'internal') log.error('a request failed through a bug', { err: error.cause ?? error });
      if (!log.accessEnabled) return;
      log.access({
        method: request.method,
        path: exchange?.target.path ?? request.path,
        service: exchange?.service.name,
        outcome: result,
        status: error.status,
        ms: deps.nowMs() - request.receivedAtMs,
      });
    },
  };
}

function resultOf(outcome: FlowOutcome): RequestOutcome {
  if (outcome.kind === 'preflight') return 'local';
  if (outcome.kind === 'challenged') return 'challenged';
  switch (outcome.forwarded.kind) {
    case 'responded':
      if (!outcome.forwarded.delivered) return 'client_gone';
      return outcome.charge === undefined ? 'free' : 'served';
    case 'client-gone':
      return 'client_gone';
    case 'body-too-large':
      return 'refused';
    default:
      return 'upstream_error';
  }
}

function failureOf(error: GatewayError): RequestOutcome {
  if (error.code === 'throttled') return 'throttled';
  if (UNAVAILABLE.has(error.code)) return 'unavailable';
  return error.code === 'internal' ? 'internal' : 'refused';
}

function sayUpstreamFailure(log: Log, exchange: Exchange, outcome: FlowOutcome): void {
  if (outcome.kind !== 'forwarded') return;
  const { forwarded } = outcome;
  const facts = { service: exchange.service.name, upstream: exchange.service.upstream };
  if (forwarded.kind === 'upstream-failed') {
    log.warn(`the upstream failed: ${forwarded.phase}`, { ...facts, err: forwarded.error });
  } else if (forwarded.kind === 'broken') {
    log.warn('the upstream broke off in the middle of its answer', {
      ...facts,
      by: forwarded.by,
      bytes: forwarded.bytesSent,
    });
  }
}
