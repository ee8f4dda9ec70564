import { CHAPTERS, QUOTES, WEATHER } from './content.ts';
import { type DemoRoute, send, sendJson, sendNotFound } from './route.ts';

/** The demo's routes that answer with a small whole text. */
export function textRoutes(): readonly DemoRoute[] {
  let asked = 0;
  return [
    {
      path: '/quote',
      serve: ({ response }) => {
        const quote = QUOTES[asked % QUOTES.length];
        asked += 1;
        sendJson(response, 200, { ...quote });
      },
    },
    {
      path: '/pack/',
      serve: ({ response, rest }) => {
        if (rest === 'weather') sendJson(response, 200, { weather: WEATHER });
        else if (rest === 'dice') sendJson(response, 200, { dice: 1 + Math.floor(Math.random() * 6) });
        else if (rest === '') sendJson(response, 200, { pack: ['weather', 'dice'] });
        else sendNotFound(response);
      },
    },
    { path: '/library/', serve: ({ response, rest }) => serveLibrary(response, rest) },
    {
      path: '/free/',
      serve: ({ response, rest }) => {
        if (rest === 'hello') sendJson(response, 200, { hello: 'world' });
        else if (rest === '') sendJson(response, 200, { free: ['hello', 'live.html'] });
        else sendNotFound(response);
      },
    },
  ];
}

type Response = Parameters<DemoRoute['serve']>[0]['response'];

function serveLibrary(response: Response, rest: string): void {
  if (rest === '') {
    send(response, 200, 'text/html; charset=utf-8', LIBRARY_INDEX);
    return;
  }
  if (rest === 'book.txt') {
    const book = CHAPTERS.map(({ title, text }) => `${title}\n\n${text}\n`).join('\n\n');
    send(response, 200, 'text/plain; charset=utf-8', book);
    return;
  }
  const chapter = CHAPTERS[Number(/^chapters\/([1-9])\.txt$/.exec(rest)?.[1] ?? 0) - 1];
  if (chapter === undefined) sendNotFound(response);
  else send(response, 200, 'text/plain; charset=utf-8', `${chapter.title}\n\n${chapter.text}\n`);
}

const LIBRARY_INDEX = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Library</title></head>
<body>
<h1>Library</h1>
<ul>
${CHAPTERS.map(({ title }, index) => `<li><a href="chapters/${index + 1}.txt">${title}</a></li>`).join('\n')}
<li><a href="book.txt">All in one</a></li>
</ul>
</body>
</html>
`;
