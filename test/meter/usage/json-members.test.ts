import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyEdits, insertMember, membersOf } from '../../../gateway/meter/usage/json-members.ts';

const texts = fc
  .tuple(
    fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()),
    fc.constantFrom(undefined, 1, '\t', ' \n'),
  )
  .map(([object, indent]) => JSON.stringify(object, undefined, indent));

test('members stand where JSON.parse reads them', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const parsed: Record<string, unknown> = JSON.parse(text);
      const { members } = membersOf(text);
      assert.deepEqual(
        members.map(({ key, valueFrom, valueTo }) => [key, JSON.parse(text.slice(valueFrom, valueTo))]),
        // JSON.parse puts keys that are numbers first, and keeps the last of two.
        Object.keys(parsed)
          .sort(
            (a, b) => members.findIndex(({ key }) => key === a) - members.findIndex(({ key }) => key === b),
          )
          .map((key) => [key, parsed[key]]),
      );
    }),
    { numRuns: 1_000 },
  );
});

test('a member that stands twice is seen twice', () => {
  assert.deepEqual(
    membersOf('{"a":1,"\\u0061":[{"a":2}]}').members.map(({ key }) => key),
    ['a', 'a'],
  );
});

test('a member can be put into any object, and every value replaced', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const object = membersOf(text);
      const added = applyEdits(text, [insertMember(object, 'new"key', '[1,{}]')]);
      assert.deepEqual({ ...JSON.parse(text), 'new"key': [1, {}] }, { ...JSON.parse(added) });
      const edits = object.members.map(({ valueFrom, valueTo }) => ({
        from: valueFrom,
        to: valueTo,
        text: '7',
      }));
      const replaced: Record<string, unknown> = JSON.parse(applyEdits(text, edits));
      assert.ok(Object.values(replaced).every((value) => value === 7));
    }),
  );
});
