import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { ERROR_STATUSES } from '../../gateway/errors.ts';
import { listFiles, ROOT, readSource } from './source-tree.ts';

const PAGES = listFiles().filter((path) => /^([^/]+\.md|docs\/.*\.md|deploy\/.*\.md)$/.test(path));
const LINK = /!?\[[^\]]*\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)/g;

/** The text without code, where brackets mean something else. */
function prose(page: string): string {
  return readSource(page)
    .replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
}

/** Anchors of a page, the way GitHub makes them from headings. */
function anchors(page: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading = ''] of readSource(page).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    found.add(plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-'));
  }
  return found;
}

test('every relative link in the documentation leads somewhere', () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    for (const [, link = ''] of prose(page).matchAll(LINK)) {
      if (/^[a-z][a-z0-9+.-]*:/i.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : posix.join(posix.dirname(page), decodeURIComponent(path));
      const full = join(ROOT, target);
      if (!existsSync(full)) broken.push(`${page}: ${link}`);
      else if (anchor !== undefined && target.endsWith('.md') && !anchors(target).has(anchor)) {
        broken.push(`${page}: ${link} (no such heading)`);
      } else if (target.endsWith('/') && !statSync(full).isDirectory()) broken.push(`${page}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('nothing in the tree leans on a folder outside of it', () => {
  // In two parts, or this line would find itself.
  const outside = ['..', 'shared'].join('/');
  const text = listFiles().filter((path) => !/\.(png|jpg|ico|woff2?|db|sqlite)$/.test(path));
  assert.deepEqual(
    text.filter((path) => readSource(path).includes(outside)),
    [],
  );
});

test('every decision has a number of its own, and says context, decision and consequence', () => {
  const decisions = PAGES.filter((path) => /^docs\/decisions\/\d/.test(path));
  const numbers = decisions.map((path) => posix.basename(path).slice(0, 4));
  assert.deepEqual(numbers, [...new Set(numbers)]);
  for (const path of decisions) {
    const text = readSource(path);
    assert.match(posix.basename(path), /^\d{4}-[a-z0-9-]+\.md$/);
    assert.match(text, /^# \d+\. /, path);
    for (const heading of ['Context', 'Decision', 'Consequence']) {
      assert.match(text, new RegExp(`^## ${heading}s?$`, 'm'), `${path}: ${heading}`);
    }
  }
});

test('docs/http.md has each error of the gateway with its status, and no other', () => {
  const rows = readSource('docs/http.md').matchAll(/^\| (\d{3}) \| `([a-z-]+)` \|/gm);
  const documented = Object.fromEntries([...rows].map(([, status, code]) => [code, Number(status)]));
  assert.deepEqual(documented, { ...ERROR_STATUSES });
});
