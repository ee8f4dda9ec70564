import type { MeterNotice } from './terms.ts';

/** The name of a notice inside a stream: the event of an SSE stream, the `type` of a WebSocket message. */
export function noticeName(notice: MeterNotice): string {
  switch (notice.kind) {
    case 'low':
      return 'payment-low';
    case 'exhausted':
      return 'payment-need-topup';
    case 'resumed':
      return 'payment-resumed';
    case 'cut':
      return 'session-timeout';
  }
}

/** What a notice says, as JSON of one line. */
export function noticeText(notice: MeterNotice): string {
  return JSON.stringify({ type: noticeName(notice), ...notice, kind: undefined });
}

/** An SSE event. Line breaks in the data make several data lines (WHATWG HTML, 9.2.6). */
export function sseEvent(name: string, data: string): Buffer {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return Buffer.from(`event: ${name}\n${lines.join('')}\n`);
}
