import { expect, test } from "vitest";
import { findDuplicateKey } from "../../src/formats/duplicateKey.ts";

test.each([
  ['{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}', undefined],
  ['{"a":"a","b":"\\"a\\":"}', undefined],
  ['["a","a",{"b":"a"}]', undefined],
  ['{"a\\\\":1,"a\\\\\\"":2}', undefined], // a and one backslash; a, one backslash and a quote
  ['{"a":1, "b":2, "a" : 3}', "a"],
  ['[{"b":{"a":1,"a":1}}]', "a"],
  ['{"a":1,"\\u0061":2}', "a"],
  ['{"":1,"":2}', ""],
])("the key that stands twice in an object of %s is %j", (text, key) => {
  JSON.parse(text);
  expect(findDuplicateKey(text)).toBe(key);
});
