import { defineConfig } from "vitest/config";

// Forks, because TensorFlow's native library lives once per process; one at a time, because it uses every core.
export default defineConfig({
  test: { pool: "forks", maxWorkers: 2, testTimeout: 60_000, include: ["test/**/*.test.ts"] },
});
