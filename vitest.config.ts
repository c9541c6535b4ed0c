import { defineConfig } from "vitest/config";

// Forks, because TensorFlow's native library lives once per process; few, because it uses every core.
// The time limits are there to end what hangs, also on a busy machine: no test takes 10 s on an idle one,
// but for one that says so.
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    globalSetup: "test/support/ownTemporaryFiles.ts",
    include: ["test/**/*.test.ts"],
  },
});
