import { stringify } from 'yaml';
import { usualDepositMsat } from '../../config/metering.ts';
import { formatMsat } from '../../node/msat.ts';
import { describeBought } from '../pricing/describe-deposit.ts';
import { parsePrice } from '../pricing/parse-price.ts';

/** What the file says. */
export interface FileParts {
  readonly upstream: string;
  readonly price: string;
  readonly path: string;
  readonly name: string;
  /** Path of the editors' schema from the file. */
  readonly schema: string | undefined;
}

/** A small, commented sluice.yaml. */
export function configText({ upstream, price, path: pattern, name, schema }: FileParts): string {
  return `${schema === undefined ? '' : `# yaml-language-server: $schema=${schema}\n`}\
# Check this file with \`sluice check-config\`; it is loaded again when it changes. All keys: docs/reference/configuration.md

# Where clients come in. 127.0.0.1 is this machine only.
listen: 127.0.0.1:8402

# Play money, to try it out. To earn, use a Lightning node of your own:
# node: { type: lnd, url: https://127.0.0.1:8080, tlsCertFile: tls.cert, macaroonFile: invoice.macaroon }
node: simulated

services:
  # A request that no service matches is answered with 404. Give something away with \`price: free\`.
  - name: ${name}
    path: ${scalar(pattern)}
    # 10 sat (a call), 500 sat for 100 calls, 1000 sat for 24h, 100 msat/second, or free
    price: ${scalar(price)}
${meteredText(price)}    upstream: ${scalar(upstream)}
`;
}

/** Keys that a metered price should show, because somebody will want to change them. */
function meteredText(written: string): string {
  const price = parsePrice(written);
  if (price.kind !== 'metered') return '';
  const depositMsat = usualDepositMsat(price);
  const lines = [
    `# What a client pays at a time, and tops up; this buys ${describeBought(price, depositMsat)}`,
    `deposit: ${formatMsat(depositMsat)}`,
  ];
  if (price.unit === 'second') {
    lines.push(
      '# Without credit a stream waits so long for a top-up',
      'hold: 45s',
      '# For files rather than live streams, the bitrate of the media, so that an hour is not fetched in a second:',
      '# pace: 2Mbit/s',
    );
  }
  if (price.unit === 'unit' && price.unitName === 'tokens') {
    lines.push(
      '# How the upstream reports them: openai, anthropic, ollama, or see docs/usage.md',
      'usage: { preset: openai }',
    );
  } else if (price.unit === 'unit') {
    lines.push(
      '# CHANGE THIS: where the upstream reports them (docs/usage.md), and what a request without a report is billed',
      `usage: { header: x-${price.unitName}-used, estimate: 1 }`,
    );
  }
  return lines.map((line) => `    ${line}\n`).join('');
}

/** A text as YAML, quoted where it must be, and with `\${` kept from being a reference. */
function scalar(text: string): string {
  return stringify(
    text.replaceAll('${', () => '$${'),
    { lineWidth: 0 },
  ).trim();
}

/** What a person must know about a metered price before the first client comes, a line each; empty for other prices. */
export function meteredNote(written: string): string {
  const price = parsePrice(written);
  if (price.kind !== 'metered') return '';
  const depositMsat = usualDepositMsat(price);
  const deposit = `Clients pay ${formatMsat(depositMsat)} at a time, which buys ${describeBought(price, depositMsat)}.\n`;
  if (price.unit !== 'unit') return deposit;
  return `${deposit}Check \`usage\` in it: it says where the upstream reports what a request used (docs/usage.md).\n`;
}
