import { beforeEach, vi } from "vitest";

/** What a test file's commands say, silenced; empty again before each test. */
export function captureOutput(): { log: string; error: string; stderr: string } {
  const output = { log: "", error: "", stderr: "" };
  vi.spyOn(console, "log").mockImplementation((text) => {
    output.log += text;
  });
  vi.spyOn(console, "error").mockImplementation((text) => {
    output.error += text;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    output.stderr += text;
    return true;
  });
  beforeEach(() => {
    output.log = output.error = output.stderr = "";
  });
  return output;
}
