import { expect, test } from "vitest";
import { questionKey } from "../../src/data/questionKey.ts";

const isSame = (a: string, b: string) => questionKey(a) === questionKey(b);

test.each([
  ["How  MANY\u00a0apples?\n", "how many apples?"],
  ["４２ ａｐｐｌｅｓ", "42 apples"],
  ["caf\u0065\u0301 ｶﾞ ﬁ Ⅳ 𝟏", "caf\u00e9 ガ fi IV 1"],
  ["3² + 1½", " 3²  + 1½"],
])("%j is %j", (written, other) => {
  expect(isSame(written, other)).toBe(true);
});

test.each([
  ["What is 3²?", "What is 32?"],
  ["What is 3²?", "What is 3₂?"],
  ["10⁻³", "10−3"],
  ["2ⁿ", "2n"],
  ["2ˣ", "2x"],
  ["x₁", "x1"],
  ["1½", "11⁄2"],
  ["42①", "421"],
  ["4⒈", "41."],
  ["1㋀", "11月"],
  ["1㏠", "11日"],
  ["1㍙", "11点"],
])("%j is not %j", (written, other) => {
  expect(isSame(written, other)).toBe(false);
});
