import { serialize } from "node:v8";
import { afterEach, expect, test } from "vitest";
import { becomeRank, fromLeader, gather, isLeader, onAnyRank, shareOf } from "../src/ranks.ts";

const hosts = ["a:1", "b:1", "c:1"];

/** This process is one of three, and each of the others sends what is given. */
function amongOthers(rank: number, ofOthers: readonly (readonly unknown[])[]) {
  becomeRank({ rank, hosts }, (bytes) =>
    hosts.map((_, other) => (other === rank ? bytes : serialize(ofOthers[other]))),
  );
}

afterEach(() => becomeRank({ rank: 0, hosts: [""] }, (bytes) => [bytes]));

test("a process alone has all shares, and gathers its own", () => {
  expect(shareOf([1, 2, 3])).toEqual([1, 2, 3]);
  expect(gather([1, 2])).toEqual([1, 2]);
  expect(fromLeader(() => "made")).toBe("made");
  expect([onAnyRank(true), onAnyRank(false), isLeader()]).toEqual([true, false, true]);
});

test("the shares of all ranks are the items, in order, about as large as each other", () => {
  const lengths = [90, 1, 1, 1, 50, 50, 50, 1, 100, 20, 30, 7];
  const sharesBy = (sizeOf?: (item: number) => number) =>
    hosts.map((_, rank) => {
      amongOthers(rank, []);
      return shareOf(lengths, sizeOf);
    });
  const byCount = sharesBy();
  expect(byCount.flat()).toEqual(lengths);
  expect(byCount.map(({ length }) => length)).toEqual([4, 4, 4]);
  const bySize = sharesBy((length) => length);
  expect(bySize.flat()).toEqual(lengths);
  const sizes = bySize.map((share) => share.reduce((sum, length) => sum + length, 0));
  expect(sizes).toEqual([143, 101, 157]);
  amongOthers(2, []);
  expect(shareOf([5])).toEqual([]);
});

test("gathers plain data of all ranks, with every number in its bits", () => {
  const own = { text: "ü", none: undefined, numbers: Float32Array.of(Number.NaN, 1e-40, -0) };
  amongOthers(1, [["first"], [], []]);
  expect(gather<unknown>([own])).toEqual(["first", own]);
  amongOthers(1, [[false], [], [true]]);
  expect(onAnyRank(false)).toBe(true);
});

test("what the first rank makes reaches the others, who do not make it", () => {
  amongOthers(2, [[{ step: 3 }], [], []]);
  const made = fromLeader(() => {
    throw new Error("made by another rank, too");
  });
  expect(made).toEqual({ step: 3 });
});
