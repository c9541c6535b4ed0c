import { describe, expect, it, vi } from "vitest";

vi.mock("node:os", async (original) => ({
  ...(await original<typeof import("node:os")>()),
  hostname: () => "n1.cluster",
  networkInterfaces: () => ({
    lo: [{ address: "127.0.0.1", family: "IPv4", internal: true }],
    eth0: [
      { address: "10.0.0.2", family: "IPv4", internal: false },
      { address: "fd00::2", family: "IPv6", internal: false },
    ],
  }),
}));
const { ranksOfHosts } = await import("../../src/tasks/hostsFile.ts");

describe("ranks of a hosts file", () => {
  it("are so many of each host, in its order, on ports one after the other", () => {
    const text = "# GPUs\n\n10.0.0.1  # the first\r\nn1:9000\n";
    const hosts = ["10.0.0.1:7000", "10.0.0.1:7001", "n1:9000", "n1:9001"];
    expect(ranksOfHosts(text, "hosts", 2, undefined)).toEqual({ hosts, first: 2 });
    expect(ranksOfHosts(text, "hosts", 2, "10.0.0.1")).toEqual({ hosts, first: 0 });
  });

  it.each(["N1", "n1.cluster", "10.0.0.2", "[fd00::2]:80", "127.0.0.2", "localhost"])(
    "are this machine's at %s",
    (own) => {
      expect(ranksOfHosts(`n10\n10.0.0.20\n${own}`, "hosts", 1, undefined).first).toBe(2);
    },
  );

  it.each([
    [
      "a\nb",
      undefined,
      'machine\'s name or one of its addresses, "n1.cluster, 10.0.0.2, [fd00::2]", found "a, b"',
    ],
    [
      "n1\n10.0.0.2",
      undefined,
      'expected one host that is this machine, found "n1, 10.0.0.2"; say by --host',
    ],
    ["a\nb", "c", 'host: expected a host of hosts, "a, b", found "c"'],
    ["a\n#\na:80", "a", 'hosts, line 3: expected each host once, found "a" again'],
    ["a b", "a", "hosts, line 1: expected a name or an address"],
    ["fd00::2", "a", "an IPv6 address stands in brackets"],
    ["a:65535", "a", "expected ports from 1 to 65535, found 65535 to 65536 for 2 ranks"],
    ["# none", "a", "expected a host a line, found none"],
  ])("are not in %j for %j", (text, host, message) => {
    expect(() => ranksOfHosts(text, "hosts", 2, host)).toThrow(message);
  });
});
