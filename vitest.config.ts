import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// The tests run against dist/, the code that is shipped: worker threads can load nothing else, and Node itself
// resolves 'plugbay' and '#src/*' through package.json.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'plugins/**/*.test.{ts,js}'],
    pool: 'forks',
    // Most tests wait more than they compute.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 20_000,
  },
})
