import { Agent, request } from 'undici';
import type { Config } from '../../../config/config.ts';
import { codeOf, type Diagnosis, reasonOf, scribe } from './diagnosis.ts';

/** Somebody else's clock, as it was read. */
export interface SeenClock {
  /** `the upstream api.example.com`, for a sentence. */
  readonly whose: string;
  /** Theirs minus ours, seconds; to a second or two. */
  readonly aheadSec: number;
}

/** What asking the upstreams gave. */
export interface UpstreamFindings {
  readonly found: readonly Diagnosis[];
  readonly clocks: readonly SeenClock[];
}

const TIMEOUT_MS = 5_000;
const CONCURRENCY = 8;
/** Of a configuration with very many upstreams, the first are asked. */
const MAX_UPSTREAMS = 200;

/** Asks each upstream once, with HEAD and without any credential: whatever it answers, it is there. */
export async function checkUpstreams(config: Config, nowMs: () => number): Promise<UpstreamFindings> {
  const byUrl = new Map<string, string[]>();
  for (const { upstream, name } of config.services) {
    byUrl.set(upstream, [...(byUrl.get(upstream) ?? []), name]);
  }
  const rest = [...byUrl].slice(0, MAX_UPSTREAMS)[Symbol.iterator]();
  const found: Diagnosis[] = [];
  const clocks: SeenClock[] = [];
  const dispatcher = new Agent({ connect: { timeout: TIMEOUT_MS } });
  const work = async (): Promise<void> => {
    for (const [url, services] of rest) {
      const { diagnosis, clock } = await ask(url, services, dispatcher, nowMs);
      found.push(diagnosis);
      if (clock !== undefined) clocks.push(clock);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  await dispatcher.destroy();
  return { found, clocks };
}

async function ask(
  url: string,
  services: readonly string[],
  dispatcher: Agent,
  nowMs: () => number,
): Promise<{ readonly diagnosis: Diagnosis; readonly clock?: SeenClock }> {
  const say = scribe('upstream');
  const shown = withoutSecrets(url);
  const who = `${shown} (${services.slice(0, 5).join(', ')}${services.length > 5 ? ' …' : ''})`;
  try {
    const { statusCode, headers, body } = await request(url, {
      method: 'HEAD',
      dispatcher,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await body.dump();
    const clock = readDate(headers['date'], `the upstream ${shown}`, nowMs());
    const seen = clock === undefined ? {} : { clock };
    if (statusCode < 500) return { diagnosis: say.ok(`${who} answers`), ...seen };
    const message = `${who} answers HEAD with ${statusCode}`;
    return {
      diagnosis: say.warning(message, 'look whether it is up; buyers get their money back for such answers'),
      ...seen,
    };
  } catch (error) {
    return { diagnosis: say.problem(`${who} does not answer: ${wordsOf(error)}`, remedyOf(error)) };
  }
}

/** The clock in a Date header; `undefined` when there is none. */
export function readDate(
  date: string | readonly string[] | undefined,
  whose: string,
  nowMs: number,
): SeenClock | undefined {
  const theirsMs = typeof date === 'string' && date.length <= 64 ? Date.parse(date) : Number.NaN;
  // The header has whole seconds: half a second is the best guess for the rest.
  return Number.isNaN(theirsMs)
    ? undefined
    : { whose, aheadSec: Math.round((theirsMs + 500 - nowMs) / 1000) };
}

/** Without user and password, which some write into a URL. */
function withoutSecrets(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname === '/' ? '' : pathname}`;
}

function wordsOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${TIMEOUT_MS / 1000} s`;
  const code = codeOf(error);
  return code === '' ? reasonOf(error) : code;
}

function remedyOf(error: unknown): string {
  const code = codeOf(error);
  if (code === 'ECONNREFUSED') return 'start it, or correct `upstream:` (address and port)';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'correct the host name in `upstream:`, or the DNS of this machine';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'it does not speak TLS at this port: write `http://` in `upstream:`, or correct the port';
  if (/CERT|SELF_SIGNED|SSL|TLS|ALTNAME/.test(code)) {
    return 'its certificate does not hold here: renew it, or add its CA with NODE_EXTRA_CA_CERTS';
  }
  return 'look whether it is up, and whether a firewall stands between';
}
