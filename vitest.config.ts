import { defineConfig } from "vitest/config";

/** Tests that replace nothing of their process: they share one, and so TensorFlow and what they import. */
const sharing = [
  "test/{data,engine,evaluate,formats,model,report,rerank}/**/*.test.ts",
  "test/models/!(export).test.ts",
  "test/reward/*.test.ts",
  "test/reward/sandbox/!(refusal).test.ts",
];

// Forks, because TensorFlow's native library lives once per process; few, because it uses every core, but more than two, because many
// tests wait for processes that they start.
// The time limits are there to end what hangs, also on a busy machine: no test takes 10 s on an idle one,
// but for one that says so.
export const whole = {
  maxWorkers: 3,
  globalSetup: "test/support/ownTemporaryFiles.ts",
} as const;
export const each = {
  pool: "forks",
  testTimeout: 180_000,
  hookTimeout: 180_000,
  setupFiles: "test/support/afterEachFile.ts",
} as const;

export default defineConfig({
  test: {
    ...whole,
    projects: [
      { test: { ...each, name: "sharing a process", include: sharing, isolate: false } },
      { test: { ...each, name: "apart", include: ["test/**/*.test.ts"], exclude: sharing } },
    ],
  },
});
